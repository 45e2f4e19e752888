//! What is known of a stream: the row that the [`Tracker`](super::Tracker) fills, and how it went.

use std::sync::Arc;

use crate::error::Place;
use crate::reported::Times;
use crate::written::Written;

/// How a stream went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended with `[DONE]`.
    Complete,
    /// Every choice finished, but no `[DONE]` came.
    NoDone,
    /// It broke off.
    Truncated,
    /// The server sent an error.
    Error,
    /// `[DONE]` and nothing else.
    Empty,
    /// Events of it were lost to damage.
    Malformed,
}

impl Status {
    /// The public name, e.g. `no_done`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NoDone => "no_done",
            Self::Truncated => "truncated",
            Self::Error => "error",
            Self::Empty => "empty",
            Self::Malformed => "malformed",
        }
    }
}

/// Members of an exchange that are kept, as sent.
pub type Kept = Arc<[Option<Box<[u8]>>]>;

/// What is known of a stream.
#[derive(Clone)]
pub struct Row {
    /// Its first id that is not empty.
    pub id: Option<Box<[u8]>>,
    /// Its first model that is not empty, as code in [`Streams::models`](super::Streams::models).
    pub model: i32,
    /// Its first creation time that is not zero, in Unix seconds; else 0.
    pub created: i64,
    /// How many chunks it has.
    pub chunks: u64,
    /// Where its first event stands in the source.
    pub offset: u64,
    /// In which one of several files one behind the other it began.
    pub(super) source: u32,
    /// The last finish reason of its choice with the smallest index, as code in [`Streams::finish_reasons`](super::Streams::finish_reasons).
    pub finish_reason: i32,
    /// The last usage object, as sent, and the event that carried it.
    pub usage: Option<(Vec<u8>, Place)>,
    /// The last cost that was sent outside a usage object; NaN if none was.
    pub cost: f64,
    /// The last times that were sent outside a usage object.
    pub times: Times,
    /// How much text it has, if that was [measured](super::Measured).
    pub written: Written,
    /// When its first and its last text were read, in seconds, where that is known.
    pub first_content: Option<f64>,
    /// See there.
    pub last_content: Option<f64>,
    /// When its exchange began.
    pub began: Option<f64>,
    /// What is kept of its exchange, if it is of one.
    pub kept: Option<Kept>,
    pub(super) finish_index: u64,
    /// Choice indexes seen, and finished, as bits; 63 stands for all that are larger.
    pub(super) seen: u64,
    pub(super) finished: u64,
    pub(super) last_seq: u64,
    pub(super) usage_seq: u64,
    pub(super) open: bool,
    pub(super) done: bool,
    pub(super) error: bool,
    pub(super) malformed: bool,
    pub(super) truncated: bool,
    pub(super) parent: Option<usize>,
    /// See [`Tracker::number`](super::Tracker::number).
    pub(super) number: u64,
}

impl Row {
    pub(super) fn new(offset: u64, seq: u64) -> Self {
        Self {
            id: None,
            model: -1,
            created: 0,
            chunks: 0,
            offset,
            source: 0,
            finish_reason: -1,
            usage: None,
            cost: f64::NAN,
            times: Times::default(),
            written: Written::default(),
            first_content: None,
            last_content: None,
            began: None,
            kept: None,
            finish_index: u64::MAX,
            seen: 0,
            finished: 0,
            last_seq: seq,
            usage_seq: 0,
            open: true,
            done: false,
            error: false,
            malformed: false,
            truncated: false,
            parent: None,
            number: 0,
        }
    }

    pub(super) fn has_finished(&self) -> bool {
        self.finished != 0 && self.seen & !self.finished == 0
    }

    /// How the stream went.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.error {
            Status::Error
        } else if self.malformed {
            Status::Malformed
        } else if self.truncated {
            Status::Truncated
        } else if self.done && self.chunks == 0 {
            Status::Empty
        } else if self.done {
            Status::Complete
        } else if self.has_finished() {
            Status::NoDone
        } else {
            Status::Truncated
        }
    }

    /// Takes over what a later part of the same stream, under another id, brought.
    pub(super) fn absorb(&mut self, later: Self) {
        self.chunks += later.chunks;
        if self.model < 0 {
            self.model = later.model;
        }
        if self.created == 0 {
            self.created = later.created;
        }
        if later.finish_reason >= 0 && later.finish_index <= self.finish_index {
            self.finish_index = later.finish_index;
            self.finish_reason = later.finish_reason;
        }
        if later.usage.is_some() && (self.usage.is_none() || later.usage_seq > self.usage_seq) {
            self.usage_seq = later.usage_seq;
            self.usage = later.usage;
        }
        if !later.cost.is_nan() {
            self.cost = later.cost;
        }
        self.times = later.times.or(self.times);
        self.written += later.written;
        self.first_content = self.first_content.or(later.first_content);
        self.last_content = later.last_content.or(self.last_content);
        self.seen |= later.seen;
        self.finished |= later.finished;
        self.done |= later.done;
        self.error |= later.error;
        self.malformed |= later.malformed;
        self.truncated |= later.truncated;
    }
}
