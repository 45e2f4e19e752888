//! The scan room: a file in, its streams and counts out, by several threads.
//!
//! Whoever has nothing to do takes the next part of the file, which ends where an event ends, reads and decodes it and
//! digests what it says about streams. The digests are told to one [`Tracker`] in the order of the file, so the result is
//! that of one thread, whatever crosses from part to part.
//!
//! No thread is far ahead of the others, so memory stays flat. A source in which no event ends for long is not for this:
//! [`Outcome::NoParts`] says so, and one thread has to read it from the start.

mod alone;
mod digest;
mod parts;
mod pool;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use digest::{Digest, Digested};
use parts::{Claim, EVENT_ENDS, Ends, LINE_ENDS, Part, Parts, Reading, at_once};
pub use pool::{Pool, Read, Setup, Table};

use crate::decoder::{Decoder, Options, Stats, not_a_stream};
use crate::error::{Damage, Place};
use crate::event::{TAR, ZIP};
use crate::log::{Layout, Learned, LinesReader, Wanted};
use crate::record::Builder;
use crate::source::{Blocks, Buffer, Positioned};
use crate::stream::{Streams, Tracker};

/// How many bytes a part has, about: enough that its cost does not matter, so few that the cache has them still.
pub const PART_BYTES: usize = 1 << 20;

/// So many parts of a source that is read in turn may wait for a thread to decode them, before the one that reads has to
/// do it: enough that it seldom has to stop reading.
const READY: usize = 3;

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
    learned: Learned,
}

struct Shared {
    options: Options,
    part_bytes: usize,
    ahead: usize,
    measures: bool,
    /// The source is made of lines of JSON, and how they are read.
    lines: Option<(Wanted, Layout)>,
    /// The file, if all threads read it at once.
    file: Option<(Positioned, Ends)>,
    merging: Mutex<Merging>,
    merged: Condvar,
    stop: AtomicBool,
    /// How many bytes of the file were read, and by how many threads it is.
    read: Arc<AtomicU64>,
    readers: AtomicUsize,
}

/// The parts that were told to the tracker, and those that wait for one before them.
struct Merging {
    /// The next part to be read, if there is one: its number, and behind which byte it begins.
    claim: Option<Claim>,
    /// What is left of a source that is read in turn, while nobody reads it, and who did last.
    reading: Option<Box<Reading>>,
    reader: Option<ThreadId>,
    /// Parts that were read, and wait for a thread to decode them.
    ready: VecDeque<Taken>,
    /// The next part to be told.
    next: usize,
    /// The number of the last part, when that is known.
    last: usize,
    waiting: BTreeMap<usize, Decoded>,
    tracker: Tracker,
    stats: Stats,
    /// Lines so far.
    lines: u64,
    nature: Nature,
    failure: Option<Failure>,
    /// Has somebody got the result?
    is_taken: bool,
    /// Memory of parts that were told.
    spares: Vec<(Buffer, Builder)>,
}

/// A part that is to be decoded: its number, what it holds, and where its digest goes.
type Taken = (usize, Part, Digest);

enum Failure {
    Io(io::Error),
    NoParts,
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
            (archive @ Self::Foreign(TAR | ZIP), _) => archive,
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
    pub fn new(blocks: Box<Blocks>, options: Options, threads: usize, part_bytes: usize) -> Self {
        Self::begin(blocks, options, threads, part_bytes, false, None)
    }

    /// The same, and how much was written is [measured](crate::stream::Measured).
    #[must_use]
    pub fn measuring(blocks: Box<Blocks>, options: Options, threads: usize, part_bytes: usize) -> Self {
        Self::begin(blocks, options, threads, part_bytes, true, None)
    }

    /// The same for a log of lines that each stand for themselves: see [`LinesReader::new`].
    #[must_use]
    pub fn of_lines(
        blocks: Box<Blocks>,
        options: Options,
        threads: usize,
        part_bytes: usize,
        measures: bool,
        lines: (Wanted, Layout),
    ) -> Self {
        Self::begin(blocks, options, threads, part_bytes, measures, Some(lines))
    }

    fn begin(
        blocks: Box<Blocks>,
        options: Options,
        threads: usize,
        part_bytes: usize,
        measures: bool,
        lines: Option<(Wanted, Layout)>,
    ) -> Self {
        let source = (blocks, Buffer::default());
        let shared = Arc::new(Shared::new(source, options, threads, part_bytes, measures, lines, Arc::default()));
        // Where the system has no thread to give, those that it gave do the work.
        let helpers = (1..threads).map_while(|_| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("chunkwire-scan".into());
            let work = move || {
                let mut learned = Learned::default();
                while shared.work(&mut learned) {}
            };
            thread.spawn(work).ok()
        });
        let helpers = helpers.collect();
        Self { shared, helpers, learned: Learned::default() }
    }

    /// Reads and decodes one part; false if none is left.
    pub fn work(&mut self) -> bool {
        self.shared.work(&mut self.learned)
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
        self.shared.result(&mut lock(&self.shared.merging))
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
    /// A source is its blocks, and what was read of them.
    fn new(
        (blocks, head): (Box<Blocks>, Buffer),
        options: Options,
        threads: usize,
        part_bytes: usize,
        measures: bool,
        lines: Option<(Wanted, Layout)>,
        read: Arc<AtomicU64>,
    ) -> Self {
        let ends = if lines.is_some() { LINE_ENDS } else { EVENT_ENDS };
        let (file, reading) = match Parts::new(blocks, head, ends) {
            Parts::AtOnce(file, ends) => (Some((file, ends)), None),
            Parts::InTurn(reading) => (None, Some(reading)),
        };
        let merging = Merging {
            claim: Some(Claim::default()),
            reading,
            reader: None,
            ready: VecDeque::new(),
            next: 0,
            last: usize::MAX,
            waiting: BTreeMap::new(),
            tracker: Tracker::default(),
            stats: Stats::default(),
            lines: 0,
            nature: Nature::Unknown,
            failure: None,
            is_taken: false,
            spares: Vec::new(),
        };
        Self {
            options,
            part_bytes,
            ahead: 2 * threads + 2,
            measures,
            file,
            lines,
            merging: Mutex::new(merging),
            merged: Condvar::new(),
            stop: AtomicBool::new(false),
            read,
            readers: AtomicUsize::new(0),
        }
    }

    /// The result, for the first who asks behind the last part or a failure.
    fn done(&self) -> Option<io::Result<Outcome>> {
        let mut merging = lock(&self.merging);
        let is_done = merging.failure.is_some() || merging.next > merging.last;
        let is_first = is_done && !std::mem::replace(&mut merging.is_taken, is_done);
        is_first.then(|| self.result(&mut merging))
    }

    fn result(&self, merging: &mut Merging) -> io::Result<Outcome> {
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

    /// Is there a part that nobody has taken?
    fn has_more(&self) -> bool {
        let merging = lock(&self.merging);
        !self.stop.load(Relaxed) && (merging.claim.is_some() || !merging.ready.is_empty())
    }

    /// Takes no more parts, and wakes who waits.
    fn end(&self) {
        self.stop.store(true, Relaxed);
        // Whoever has looked at `stop` before waits by the time that this lock is had, and hears.
        drop(lock(&self.merging));
        self.merged.notify_all();
    }

    /// Reads a part, or decodes one, or both; false if none is left.
    fn work(&self, learned: &mut Learned) -> bool {
        if self.stop.load(Relaxed) {
            return false;
        }
        let _end = EndOnPanic(self);
        match self.take() {
            Ok(Some(Some((number, part, digest)))) => {
                let decoded = self.decode(number, part, digest, learned);
                self.merge(number, decoded);
                true
            }
            Ok(Some(None)) => true,
            Ok(None) => false,
            Err(failure) => {
                lock(&self.merging).failure = Some(failure);
                self.end();
                false
            }
        }
    }

    /// The next part that is to be decoded, when it is time for it; Some(None) if that was the time to read one for others,
    /// from a source that is read in turn; None if none is left.
    fn take(&self) -> Result<Option<Option<Taken>>, Failure> {
        let mut merging = lock(&self.merging);
        loop {
            if self.stop.load(Relaxed) {
                return Ok(None);
            }
            // Who reads goes on with it while it can, for what it reads with is in its cache; so others decode.
            let is_reader = merging.reader == Some(std::thread::current().id());
            if (!is_reader || merging.ready.len() >= READY)
                && let Some(taken) = merging.ready.pop_front()
            {
                return Ok(Some(Some(taken)));
            }
            if let Some(claim) = merging.claim
                && claim.number < merging.next + self.ahead
            {
                if let Some((file, ends)) = &self.file {
                    return self.read_at_once(merging, claim, file, ends);
                }
                if let Some(reading) = merging.reading.take() {
                    return self.read_for_others(merging, claim, reading);
                }
            }
            match merging.ready.pop_front() {
                Some(taken) => return Ok(Some(Some(taken))),
                None if merging.claim.is_none() => return Ok(None),
                None => merging = self.merged.wait(merging).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn read_at_once(
        &self,
        mut merging: MutexGuard<'_, Merging>,
        claim: Claim,
        file: &Positioned,
        ends: Ends,
    ) -> Result<Option<Option<Taken>>, Failure> {
        merging.claim = Some(claim.next(self.part_bytes));
        let (spare, builder) = merging.spares.pop().unwrap_or_default();
        drop(merging);
        let part = at_once(file, ends, claim.at, self.part_bytes, spare)?;
        self.note(claim, &part, &mut lock(&self.merging));
        Ok(Some(Some((claim.number, part, Digest::new(builder, self.measures)))))
    }

    fn read_for_others(
        &self,
        mut merging: MutexGuard<'_, Merging>,
        claim: Claim,
        mut reading: Box<Reading>,
    ) -> Result<Option<Option<Taken>>, Failure> {
        merging.claim = Some(claim.next(self.part_bytes));
        merging.reader = Some(std::thread::current().id());
        let (spare, builder) = merging.spares.pop().unwrap_or_default();
        drop(merging);
        let part = reading.part(self.part_bytes, spare)?;
        let mut merging = lock(&self.merging);
        self.note(claim, &part, &mut merging);
        merging.reading = Some(reading);
        merging.ready.push_back((claim.number, part, Digest::new(builder, self.measures)));
        drop(merging);
        self.merged.notify_all();
        Ok(Some(None))
    }

    /// Notes that a part was read.
    fn note(&self, claim: Claim, part: &Part, merging: &mut Merging) {
        self.read.fetch_add(part.read, Relaxed);
        if part.is_last {
            merging.last = merging.last.min(claim.number);
            merging.claim = None;
        } else if let Some(next) = &mut merging.claim {
            next.at = next.at.max(part.end);
        }
    }

    fn decode(&self, number: usize, part: Part, mut digest: Digest, learned: &mut Learned) -> Decoded {
        if let Some((wanted, layout)) = &self.lines
            && let Some(reader) = LinesReader::new(self.options, wanted, layout, number > 0)
        {
            return Self::decode_lines(reader, part, digest, learned);
        }
        let Part { buffer, is_last, broken, .. } = part;
        let mut decoder = if number == 0 { Decoder::new(self.options) } else { Decoder::inside(self.options) };
        decoder.set_shapes(learned.events.take());
        let (input, mut at) = (&*buffer, 0);
        while decoder.decode(input, &mut at, usize::MAX, &mut digest) {}
        if let Some(broken) = broken {
            decoder.add_damage(&Damage::of_compression(decoder.stats().bytes, &broken));
        }
        if is_last {
            decoder.finish_events(&mut digest);
        }
        learned.events = decoder.take_shapes();
        let (stats, lines, nature) = (decoder.stats(), decoder.lines(), Nature::of(&decoder));
        Decoded { digest: digest.build(buffer), stats, lines, nature }
    }

    fn decode_lines(mut reader: LinesReader, part: Part, mut digest: Digest, learned: &mut Learned) -> Decoded {
        let Part { buffer, is_last, broken, .. } = part;
        reader.learn(learned);
        let (input, mut at) = (&*buffer, 0);
        while reader.decode(input, &mut at, usize::MAX, &mut digest) {}
        if let Some(reason) = broken {
            reader.add_damage(&Damage::of_compression(reader.stats().bytes, &reason));
        }
        if is_last {
            reader.finish(&mut digest);
        }
        reader.teach(learned);
        let (stats, lines) = (reader.stats(), reader.line_ends());
        Decoded { digest: digest.build(buffer), stats, lines, nature: Nature::Stream }
    }

    /// Tells the tracker this part, if it is its turn, and those that waited for it.
    fn merge(&self, number: usize, decoded: Decoded) {
        let mut merging = lock(&self.merging);
        merging.waiting.insert(number, decoded);
        // (Behind the last part there can be others, of a file that grew meanwhile.)
        while merging.next <= merging.last
            && let Some(decoded) = {
                let next = merging.next;
                merging.waiting.remove(&next)
            }
        {
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
        let spare = decoded.digest.tell(&mut self.tracker, global);
        self.spares.push(spare);
        let mut stats = decoded.stats;
        for damage in &mut stats.damages {
            tell_line(damage, lines);
        }
        self.stats.append(stats, global);
        self.lines += decoded.lines;
        self.nature = self.nature.and(decoded.nature);
        self.next += 1;
    }
}

/// Tells the line of the source in a reason that begins with that of the part.
fn tell_line(damage: &mut Damage, lines: u64) {
    let line = damage.place.line;
    if let Some(rest) = damage.reason.strip_prefix("line ")
        && let Some(rest) = rest.strip_prefix(&line.to_string())
        && rest.starts_with([' ', ':'])
    {
        damage.reason = format!("line {}{rest}", line + lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_behind_the_end_meanwhile_is_not_read() {
        let path = std::env::temp_dir().join(format!("chunkwire-grown-{}", std::process::id()));
        let log = "data: {\"id\":\"a\",\"choices\":[]}\n\n".repeat(10);
        for end in [log.len(), log.len() - 1, log.len() - 10] {
            std::fs::write(&path, &log[..end]).expect("a file can be written");
            let scan =
                Scan::new(Box::new(Blocks::open(&path, None).expect("it is there")), Options::default(), 1, 1 << 10);
            let shared = &scan.shared;
            // Another thread has claimed the part behind before this one saw the end.
            let Ok(Some(Some((number, part, digest)))) = shared.take() else { panic!("no part") };
            assert!(part.is_last);
            lock(&shared.merging).claim = Some(Claim { number: 1, at: 1 << 10 });
            std::fs::write(&path, log.repeat(20)).expect("a file can be written");
            let Ok(Some(Some((behind, other, unused)))) = shared.take() else { panic!("no other part") };
            assert!(!other.buffer.is_empty());
            shared.merge(behind, shared.decode(behind, other, unused, &mut Learned::default()));
            shared.merge(number, shared.decode(number, part, digest, &mut Learned::default()));
            let Ok(Outcome::Done(done)) = scan.finish() else { panic!("not read") };
            assert_eq!(done.1.bytes, end as u64);
            assert_eq!((done.1.chunks, done.1.damaged), if end + 2 > log.len() { (10, 0) } else { (9, 1) });
        }
        let _ = std::fs::remove_file(path);
    }
}
