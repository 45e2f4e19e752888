//! Which thread does what next: claims on parts out, parts that were read and parts that were decoded in.
//!
//! A file that all threads read at once is claimed part by part. Of anything else one thread reads parts, for whoever has
//! nothing to do. What was decoded waits here until what stands before it in the source has been told.

use std::collections::{BTreeMap, VecDeque};
use std::thread::{self, ThreadId};

use super::Failure;
use super::parts::{Claim, Part, Reading};
use super::told::Decoded;
use crate::record::Builder;
use crate::source::Buffer;

/// So many parts of a source that is read in turn may wait for a thread to decode them, before the one that reads has to
/// do it: enough that it seldom has to stop reading.
const READY: usize = 3;

/// What the threads share for moments.
pub(super) struct Queue {
    /// The next part to be read, if there is one: its number, and behind which byte it begins.
    claim: Option<Claim>,
    /// Do all threads read the source at once?
    is_at_once: bool,
    /// What is left of one that is read in turn, while nobody reads it, and who did last.
    reading: Option<Box<Reading>>,
    reader: Option<ThreadId>,
    /// Parts that were read, and wait for a thread to decode them.
    ready: VecDeque<(usize, Part)>,
    /// So many parts may be claimed before the first of them has been told.
    ahead: usize,
    /// The next part to be told, and the number of the last part, when that is known.
    next: usize,
    last: usize,
    waiting: BTreeMap<usize, Box<Decoded>>,
    /// Somebody tells parts.
    is_telling: bool,
    pub failure: Option<Failure>,
    /// Has somebody got the result?
    is_taken: bool,
    /// How many wait for something to change.
    pub sleepers: usize,
    /// Memory of parts that were decoded, and of digests that were told.
    pub spares: Vec<Buffer>,
    builders: Vec<Builder>,
}

/// What a thread is to do. (An empty builder is for the digest of the part.)
pub(super) enum Taken {
    /// Read and decode a part of a file that all read.
    Claim(Claim, Builder),
    /// Read a part for others, with this memory, and go on when that is [put](Queue::put) down.
    Reading(Claim, Box<Reading>, Buffer),
    /// Decode a part that was read.
    Part(usize, Part, Builder),
    /// Tell what was found in a part, whose [turn](Queue::turn) it is.
    Turn(Box<Decoded>),
}

impl Queue {
    /// For so many threads. (A source without `reading` is read at once.)
    pub fn new(reading: Option<Box<Reading>>, threads: usize) -> Self {
        Self {
            claim: Some(Claim::default()),
            is_at_once: reading.is_none(),
            reading,
            reader: None,
            ready: VecDeque::new(),
            ahead: 2 * threads + 2,
            next: 0,
            last: usize::MAX,
            waiting: BTreeMap::new(),
            is_telling: false,
            failure: None,
            is_taken: false,
            sleepers: 0,
            spares: Vec::new(),
            builders: Vec::new(),
        }
    }

    /// What the calling thread can do now, with parts of so many bytes.
    pub fn take(&mut self, part_bytes: usize) -> Option<Taken> {
        if let Some(decoded) = self.turn() {
            return Some(Taken::Turn(decoded));
        }
        // Who reads goes on with it while it can, for what it reads with is in its cache; so others decode.
        let is_reader = self.reader == Some(thread::current().id());
        if (!is_reader || self.ready.len() >= READY)
            && let Some(part) = self.take_ready()
        {
            return Some(part);
        }
        if let Some(claim) = self.claim
            && claim.number < self.next + self.ahead
        {
            if self.is_at_once {
                self.claim = Some(claim.next(part_bytes));
                return Some(Taken::Claim(claim, self.builders.pop().unwrap_or_default()));
            }
            if let Some(reading) = self.reading.take() {
                self.claim = Some(claim.next(part_bytes));
                self.reader = Some(thread::current().id());
                return Some(Taken::Reading(claim, reading, self.spares.pop().unwrap_or_default()));
            }
        }
        self.take_ready()
    }

    fn take_ready(&mut self) -> Option<Taken> {
        let (number, part) = self.ready.pop_front()?;
        Some(Taken::Part(number, part, self.builders.pop().unwrap_or_default()))
    }

    /// Were all parts claimed?
    pub fn is_claimed(&self) -> bool {
        self.claim.is_none()
    }

    /// Is there a part that nobody has taken?
    pub fn has_more(&self) -> bool {
        self.claim.is_some() || !self.ready.is_empty()
    }

    /// Notes that a part was read.
    pub fn note(&mut self, claim: Claim, part: &Part) {
        if part.is_last {
            self.last = self.last.min(claim.number);
            self.claim = None;
        } else if let Some(next) = &mut self.claim {
            next.at = next.at.max(part.end);
        }
    }

    /// Puts down what was read for others, and what is left.
    pub fn put(&mut self, claim: Claim, part: Part, reading: Box<Reading>) {
        self.ready.push_back((claim.number, part));
        self.reading = Some(reading);
    }

    /// Puts down what was found in a part.
    pub fn put_decoded(&mut self, number: usize, decoded: Box<Decoded>) {
        self.waiting.insert(number, decoded);
    }

    /// The part whose turn it is to be told, if it is there and nobody tells another: the caller is to tell it, to note
    /// [that](Self::told), and to come back for the next.
    pub fn turn(&mut self) -> Option<Box<Decoded>> {
        // (Behind the last part there can be others, of a file that grew meanwhile.)
        if self.is_telling || self.next > self.last {
            return None;
        }
        let next = self.waiting.remove(&self.next);
        self.is_telling = next.is_some();
        next
    }

    /// Notes that a part was told.
    pub fn told(&mut self, builder: Builder) {
        self.builders.push(builder);
        self.next += 1;
        self.is_telling = false;
    }

    /// Is there nothing left to tell?
    pub fn is_done(&self) -> bool {
        self.failure.is_some() || self.next > self.last
    }

    /// Is all done, and is the caller the first who hears?
    pub fn is_first_behind_the_end(&mut self) -> bool {
        self.is_done() && !std::mem::replace(&mut self.is_taken, true)
    }
}
