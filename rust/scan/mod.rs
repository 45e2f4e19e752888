//! The scan room: a file in, its streams and counts out, by several threads.
//!
//! Whoever has nothing to do takes the next part of the file, which ends where an event ends, decodes it and digests what
//! it says about streams. The digests are told to one [`Tracker`] in the order of the file, so the result is that of one
//! thread, whatever crosses from part to part. Reading is part of the work: while one thread reads, others decode.
//!
//! No thread is far ahead of the others, so memory stays flat. A source in which no event ends for long is not for this:
//! [`Outcome::NoParts`] says so, and one thread has to read it from the start.

mod digest;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use digest::{Digest, Digested};
use memchr::memmem;

use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Options, Stats, not_a_stream};
use crate::error::{Damage, Place};
use crate::source::{Blocks, Buffer};
use crate::stream::{Streams, Tracker};

/// How many bytes a part has at least: enough that its cost does not matter, so few that the cache has them still.
pub const PART_BYTES: usize = 1 << 18;
/// If so many bytes hold no end of an event, they are not split.
const LONGEST_PART: usize = 8 << 20;
/// Where in the end of a part the end of an event is looked for first.
const NEAR: usize = 1 << 14;

/// How a scan ended.
pub enum Outcome {
    /// All was read.
    Done(Box<(Streams, Stats)>),
    /// No event ended for long: read it with one thread, from the start.
    NoParts,
}

/// A file that is being read.
pub struct Scan {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    shapes: Option<Box<Shapes>>,
}

struct Shared {
    options: Options,
    part_bytes: usize,
    ahead: usize,
    reading: Mutex<Reading>,
    merging: Mutex<Merging>,
    merged: Condvar,
    stop: AtomicBool,
}

/// What is left of the file.
struct Reading {
    blocks: Blocks,
    /// What was read behind the last part.
    rest: Buffer,
    spares: Vec<Buffer>,
    next: usize,
    ended: bool,
}

/// The parts that were told to the tracker, and those that wait for one before them.
struct Merging {
    next: usize,
    waiting: BTreeMap<usize, Decoded>,
    tracker: Tracker,
    stats: Stats,
    /// Lines so far.
    lines: u64,
    nature: Nature,
    failure: Option<Failure>,
    spares: Vec<Buffer>,
}

enum Failure {
    Io(io::Error),
    NoParts,
}

struct Part {
    number: usize,
    buffer: Buffer,
    is_last: bool,
    /// A compressed source broke off behind it, and why.
    broken: Option<String>,
}

struct Decoded {
    digest: Digested<Buffer>,
    stats: Stats,
    lines: u64,
    nature: Nature,
}

/// What is known of a source's sort.
#[derive(Clone, Copy)]
enum Nature {
    /// Nothing: so far there were comments and blank lines, if any.
    Unknown,
    /// There were other lines; the first of them begins with this byte.
    Foreign(u8),
    /// It is an event stream.
    Stream,
}

impl Nature {
    fn of(decoder: &Decoder) -> Self {
        match decoder.foreign() {
            Some(first) => Self::Foreign(first),
            None if decoder.is_known() => Self::Stream,
            None => Self::Unknown,
        }
    }

    /// That of both together.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Stream, _) | (_, Self::Stream) => Self::Stream,
            (Self::Unknown, later) => later,
            (foreign, _) => foreign,
        }
    }
}

/// A panic in another thread is on its way to the caller; what it held is not used after that.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scan {
    /// Begins to read with `threads` threads, of which the caller is one: it has to call [`Scan::work`] until that says
    /// that nothing is left.
    #[must_use]
    pub fn new(blocks: Blocks, options: Options, threads: usize, part_bytes: usize) -> Self {
        let reading = Reading { blocks, rest: Buffer::default(), spares: Vec::new(), next: 0, ended: false };
        let merging = Merging {
            next: 0,
            waiting: BTreeMap::new(),
            tracker: Tracker::default(),
            stats: Stats::default(),
            lines: 0,
            nature: Nature::Unknown,
            failure: None,
            spares: Vec::new(),
        };
        let shared = Arc::new(Shared {
            options,
            part_bytes,
            ahead: 2 * threads + 2,
            reading: Mutex::new(reading),
            merging: Mutex::new(merging),
            merged: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        // Where the system has no thread to give, those that it gave do the work.
        let helpers = (1..threads).map_while(|_| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("chunkwire-scan".into());
            let work = move || {
                let mut shapes = None;
                while shared.work(&mut shapes) {}
            };
            thread.spawn(work).ok()
        });
        let helpers = helpers.collect();
        Self { shared, helpers, shapes: None }
    }

    /// Reads and decodes one part; false if none is left.
    pub fn work(&mut self) -> bool {
        self.shared.work(&mut self.shapes)
    }

    /// The result, when nothing is left.
    ///
    /// # Errors
    ///
    /// What the system said when the file was read.
    ///
    /// # Panics
    ///
    /// If another thread did.
    pub fn finish(mut self) -> io::Result<Outcome> {
        for helper in self.helpers.drain(..) {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let mut merging = lock(&self.shared.merging);
        match merging.failure.take() {
            Some(Failure::Io(error)) => return Err(error),
            Some(Failure::NoParts) => return Ok(Outcome::NoParts),
            None => {}
        }
        let mut stats = std::mem::take(&mut merging.stats);
        let mut tracker = std::mem::take(&mut merging.tracker);
        if let Nature::Foreign(first) = merging.nature {
            let damage = not_a_stream(first);
            stats.add(&damage);
            crate::decoder::Sink::damage(&mut tracker, &damage);
        }
        Ok(Outcome::Done(Box::new((tracker.finish(), stats))))
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// Ends the work of all if its own thread panics: nobody is to wait for a part that will not come.
struct EndOnPanic<'a>(&'a Shared);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

impl Shared {
    /// Takes no more parts, and wakes who waits.
    fn end(&self) {
        self.stop.store(true, Relaxed);
        // Whoever has looked at `stop` before waits by the time that this lock is had, and hears.
        drop(lock(&self.merging));
        self.merged.notify_all();
    }

    fn work(&self, shapes: &mut Option<Box<Shapes>>) -> bool {
        if self.stop.load(Relaxed) {
            return false;
        }
        let _end = EndOnPanic(self);
        match self.take() {
            Ok(Some(part)) => {
                let (number, decoded) = self.decode(part, shapes);
                self.merge(number, decoded);
                true
            }
            Ok(None) => false,
            Err(failure) => {
                lock(&self.merging).failure = Some(failure);
                self.end();
                false
            }
        }
    }

    /// The next part, when it is time for it.
    fn take(&self) -> Result<Option<Part>, Failure> {
        let mut reading = lock(&self.reading);
        if reading.ended {
            return Ok(None);
        }
        let mut merging = lock(&self.merging);
        while reading.next >= merging.next + self.ahead {
            if self.stop.load(Relaxed) {
                return Ok(None);
            }
            merging = self.merged.wait(merging).unwrap_or_else(PoisonError::into_inner);
        }
        reading.spares.append(&mut merging.spares);
        drop(merging);
        reading.part(self.part_bytes).map(Some)
    }

    fn decode(&self, part: Part, shapes: &mut Option<Box<Shapes>>) -> (usize, Decoded) {
        let Part { number, buffer, is_last, broken } = part;
        let mut decoder = if number == 0 { Decoder::new(self.options) } else { Decoder::inside(self.options) };
        decoder.set_shapes(shapes.take());
        let mut digest = Digest::default();
        let (input, mut at) = (&*buffer, 0);
        while decoder.decode(input, &mut at, usize::MAX, &mut digest) {}
        if let Some(reason) = broken {
            decoder.add_damage(&Damage::of_compression(decoder.stats().bytes, &reason));
        }
        if is_last {
            decoder.finish_events(&mut digest);
        }
        *shapes = decoder.take_shapes();
        let (stats, lines, nature) = (decoder.stats(), decoder.lines(), Nature::of(&decoder));
        (number, Decoded { digest: digest.build(buffer), stats, lines, nature })
    }

    /// Tells the tracker this part, if it is its turn, and those that waited for it.
    fn merge(&self, number: usize, decoded: Decoded) {
        let mut merging = lock(&self.merging);
        merging.waiting.insert(number, decoded);
        while let Some(decoded) = {
            let next = merging.next;
            merging.waiting.remove(&next)
        } {
            merging.add(decoded);
        }
        drop(merging);
        self.merged.notify_all();
    }
}

impl Merging {
    fn add(&mut self, decoded: Decoded) {
        let (offset, lines, events) = (self.stats.bytes, self.lines, self.stats.events);
        // Line 0 says that only the offset is known.
        let global = |place: Place| match place.line {
            0 => Place { offset: place.offset + offset, ..place },
            line => Place { offset: place.offset + offset, line: line + lines, event: place.event + events },
        };
        let buffer = decoded.digest.tell(&mut self.tracker, global);
        self.spares.push(buffer);
        self.stats.append(decoded.stats, global);
        self.lines += decoded.lines;
        self.nature = self.nature.and(decoded.nature);
        self.next += 1;
    }
}

impl Reading {
    fn part(&mut self, part_bytes: usize) -> Result<Part, Failure> {
        let mut buffer = std::mem::take(&mut self.rest);
        let room = part_bytes.max(1 << 12);
        let (mut broken, mut ended) = (None, false);
        let end = loop {
            if buffer.len() >= part_bytes
                && let Some(end) = end_of_event(&buffer, part_bytes)
            {
                break end;
            }
            if buffer.len() > part_bytes.max(LONGEST_PART) {
                return Err(Failure::NoParts);
            }
            buffer.grow(room);
            match self.blocks.read(buffer.room(room)) {
                Ok(0) => ended = true,
                Ok(more) => buffer.fill(more),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_none() => {
                    broken = Some(error.to_string());
                    ended = true;
                }
                Err(error) => return Err(Failure::Io(error)),
            }
            if ended {
                break buffer.len();
            }
        };
        self.rest = self.spares.pop().unwrap_or_default();
        self.rest.begin(&buffer[end..], room);
        buffer.truncate(end);
        self.ended = ended;
        self.next += 1;
        Ok(Part { number: self.next - 1, buffer, is_last: ended, broken })
    }
}

/// The end of an event, behind its blank line, at or behind `least`; the last one if the bytes are about as many, else
/// the first.
fn end_of_event(bytes: &[u8], least: usize) -> Option<usize> {
    // A blank line ended by LF or CRLF behind a line that LF ends. Others (CR alone) are not looked for.
    let ends: [(&[u8], usize); 2] = [(b"\n\n", 2), (b"\n\r\n", 3)];
    if bytes.len() > 2 * least {
        let from = least.saturating_sub(2);
        return ends.iter().filter_map(|(end, length)| Some(from + memmem::find(&bytes[from..], end)? + length)).min();
    }
    let near = bytes.len().saturating_sub(NEAR);
    for from in [near, 0] {
        for (end, length) in ends {
            if let Some(place) = memmem::rfind(&bytes[from..], end) {
                return Some(from + place + length);
            }
        }
    }
    None
}
