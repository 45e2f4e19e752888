//! The scan room: a file in, its streams and counts out, by several threads.
//!
//! Whoever has nothing to do takes the next part of the file, which ends where an event ends, reads and decodes it and
//! digests what it says about streams. The digests are told to one [`Tracker`](crate::stream::Tracker) in the order of the
//! file, so the result is that of one thread, whatever crosses from part to part.
//!
//! No thread is far ahead of the others, so memory stays flat. A source in which no event ends for long is not for this:
//! [`Outcome::NoParts`] says so, and one thread has to read it from the start.

mod alone;
mod digest;
mod parts;
mod pool;
mod queue;
mod told;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use alone::recognise;
use digest::Digest;
use parts::{EVENT_ENDS, Ends, LINE_ENDS, Part, Parts};
pub use pool::{Pool, Read, Setup, Table, weight};
use queue::{Queue, Taken};
use told::{Decoded, Nature, Told};

use crate::decoder::{Decoder, Options, Stats};
use crate::error::Damage;
use crate::log::{Layout, Learned, LinesReader, Wanted};
use crate::record::Builder;
use crate::source::{Blocks, Buffer, Positioned, restless};
use crate::stream::Streams;

/// How many bytes a part has, about: enough that its cost does not matter, so few that the cache has them still.
pub const PART_BYTES: usize = 1 << 20;

/// So many threads at most are [restless], for as many find something to do when a part was read or told. More would
/// only keep processors busy.
const RESTLESS: usize = 2;

/// How a scan ended.
pub enum Outcome {
    /// All was read.
    Done(Box<(Streams, Stats)>),
    /// No event ended for long: read it with one thread, from the start.
    NoParts,
}

/// How a file is to be read.
pub struct How {
    /// Those of the decoders.
    pub options: Options,
    /// By how many threads.
    pub threads: usize,
    /// How many bytes a part has, about: see [`PART_BYTES`].
    pub part_bytes: usize,
    /// Is it to be [measured](crate::stream::Measured) how much was written?
    pub measures: bool,
    /// For a log of lines that each stand for themselves: what is wanted of them, and how they are read. See
    /// [`LinesReader::new`].
    pub lines: Option<(Wanted, Layout)>,
}

impl How {
    /// By so many threads, as an event stream.
    #[must_use]
    pub fn new(options: Options, threads: usize) -> Self {
        Self { options, threads, part_bytes: PART_BYTES, measures: false, lines: None }
    }
}

/// A file that is being read.
pub struct Scan {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    own: Own,
}

struct Shared {
    how: How,
    /// The file, if all threads read it at once.
    file: Option<(Positioned, Ends)>,
    /// Is held for moments, never while anybody reads, decodes or tells.
    queue: Mutex<Queue>,
    /// Something changed for those who wait, and how often it did.
    changed: Condvar,
    changes: AtomicUsize,
    /// Is held by the one who tells.
    told: Mutex<Told>,
    stop: AtomicBool,
    /// How many bytes of the file were read, and by how many threads it is.
    read: Arc<AtomicU64>,
    readers: AtomicUsize,
}

/// What a thread keeps for itself from part to part.
#[derive(Default)]
struct Own {
    learned: Learned,
    /// Memory for what it reads.
    memory: Buffer,
}

enum Failure {
    Io(io::Error),
    NoParts,
}

/// A panic in another thread is on its way to the caller; what it held is not used after that.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scan {
    /// Begins to read blocks, of which `head` was read, with so many threads, of which the caller is one: it has to call
    /// [`Scan::work`] until that says that nothing is left.
    #[must_use]
    pub fn new(blocks: Box<Blocks>, head: Buffer, how: How) -> Self {
        let threads = how.threads;
        let shared = Arc::new(Shared::new(blocks, head, how, Arc::default()));
        // Where the system has no thread to give, those that it gave do the work.
        let helpers = (1..threads).map_while(|_| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("chunkwire-scan".into());
            let work = move || {
                let mut own = Own::default();
                while shared.work(&mut own) {}
            };
            thread.spawn(work).ok()
        });
        let helpers = helpers.collect();
        Self { shared, helpers, own: Own::default() }
    }

    /// Reads, decodes or tells one part; false if nothing is left to begin.
    pub fn work(&mut self) -> bool {
        self.shared.work(&mut self.own)
    }

    /// Waits until the others have done what they have begun; false if they have not for so long.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let Shared { queue, changed, stop, .. } = &*self.shared;
        let mut queue = lock(queue);
        queue.sleepers += 1;
        let waited = changed.wait_timeout_while(queue, patience, |queue| !queue.is_done() && !stop.load(Relaxed));
        let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.sleepers -= 1;
        !waited.timed_out()
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
        self.shared.result(lock(&self.shared.queue).failure.take())
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
    fn new(blocks: Box<Blocks>, head: Buffer, how: How, read: Arc<AtomicU64>) -> Self {
        let ends = if how.lines.is_some() { LINE_ENDS } else { EVENT_ENDS };
        let (file, reading) = match Parts::new(blocks, head, ends) {
            Parts::AtOnce(file, ends) => (Some((file, ends)), None),
            Parts::InTurn(reading) => (None, Some(reading)),
        };
        Self {
            file,
            queue: Mutex::new(Queue::new(reading, how.threads)),
            how,
            changed: Condvar::new(),
            changes: AtomicUsize::new(0),
            told: Mutex::default(),
            stop: AtomicBool::new(false),
            read,
            readers: AtomicUsize::new(0),
        }
    }

    /// The result, for the first who asks behind the last part or a failure.
    fn done(&self) -> Option<io::Result<Outcome>> {
        let mut queue = lock(&self.queue);
        queue.is_first_behind_the_end().then(|| {
            let failure = queue.failure.take();
            drop(queue);
            self.result(failure)
        })
    }

    fn result(&self, failure: Option<Failure>) -> io::Result<Outcome> {
        match failure {
            Some(Failure::Io(error)) => Err(error),
            Some(Failure::NoParts) => Ok(Outcome::NoParts),
            None => Ok(Outcome::Done(Box::new(std::mem::take(&mut *lock(&self.told)).finish()))),
        }
    }

    /// Is there a part that nobody has taken?
    fn has_more(&self) -> bool {
        !self.stop.load(Relaxed) && lock(&self.queue).has_more()
    }

    /// Takes no more parts, and wakes who waits.
    fn end(&self) {
        self.stop.store(true, Relaxed);
        // Whoever has looked at `stop` before waits by the time that this lock is had, and hears.
        self.tell_idle(&lock(&self.queue));
    }

    /// Tells all who have nothing to do that something changed.
    fn tell_idle(&self, queue: &Queue) {
        self.changes.fetch_add(1, Relaxed);
        if queue.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    /// Reads, decodes or tells one part; false if nothing is left to begin.
    fn work(&self, own: &mut Own) -> bool {
        if self.stop.load(Relaxed) {
            return false;
        }
        let _end = EndOnPanic(self);
        self.do_next(own).unwrap_or_else(|failure| {
            lock(&self.queue).failure = Some(failure);
            self.end();
            false
        })
    }

    fn do_next(&self, own: &mut Own) -> Result<bool, Failure> {
        let Some(taken) = self.take() else { return Ok(false) };
        match taken {
            Taken::Claim(claim, builder) => {
                let Some((file, ends)) = &self.file else { return Ok(false) };
                let memory = std::mem::take(&mut own.memory);
                let part = parts::at_once(file, ends, claim.at, self.how.part_bytes, memory)?;
                self.read.fetch_add(part.read, Relaxed);
                if claim.is_news(&part, self.how.part_bytes) {
                    lock(&self.queue).note(claim, &part);
                }
                let decoded = self.decode(claim.number, &part, builder, &mut own.learned);
                own.memory = part.buffer;
                self.put_down(claim.number, decoded);
            }
            Taken::Reading(claim, mut reading) => {
                let mut memory = std::mem::take(&mut own.memory);
                if !memory.has_memory() {
                    memory = lock(&self.queue).spares.pop().unwrap_or_default();
                }
                let part = reading.part(self.how.part_bytes, memory)?;
                self.read.fetch_add(part.read, Relaxed);
                let mut queue = lock(&self.queue);
                queue.note(claim, &part);
                queue.put(claim, part, reading);
                self.tell_idle(&queue);
            }
            Taken::Part(number, part, builder) => {
                let decoded = self.decode(number, &part, builder, &mut own.learned);
                if own.memory.has_memory() {
                    lock(&self.queue).spares.push(part.buffer);
                } else {
                    own.memory = part.buffer;
                }
                self.put_down(number, decoded);
            }
            Taken::Turn(decoded) => self.tell(*decoded),
        }
        Ok(true)
    }

    /// What there is to do, when it is time for it; None if nothing is left.
    fn take(&self) -> Option<Taken> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stop.load(Relaxed) {
                return None;
            }
            if let Some(taken) = queue.take(self.how.part_bytes) {
                return Some(taken);
            }
            if queue.is_claimed() {
                return None;
            }
            queue.idle += 1;
            let seen = self.changes.load(Relaxed);
            if queue.restless < RESTLESS {
                queue.restless += 1;
                drop(queue);
                restless(|| (self.changes.load(Relaxed) != seen).then_some(()));
                queue = lock(&self.queue);
                queue.restless -= 1;
            }
            if self.changes.load(Relaxed) == seen {
                queue.sleepers += 1;
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.sleepers -= 1;
            }
            queue.idle -= 1;
        }
    }

    fn decode(&self, number: usize, part: &Part, builder: Builder, learned: &mut Learned) -> Decoded {
        let Part { buffer: input, is_last, broken, .. } = part;
        let mut digest = Digest::new(builder, self.how.measures);
        let mut at = 0;
        if let Some((wanted, layout)) = &self.how.lines
            && let Some(mut reader) = LinesReader::new(self.how.options, wanted, layout, number > 0)
        {
            reader.learn(learned);
            while reader.decode(input, &mut at, usize::MAX, &mut digest) {}
            if let Some(broken) = broken {
                reader.add_damage(&Damage::of_compression(reader.stats().bytes, broken));
            }
            if *is_last {
                reader.finish(&mut digest);
            }
            reader.teach(learned);
            let (stats, lines) = (reader.stats(), reader.line_ends());
            return Decoded { digest: digest.build(), stats, lines, nature: Nature::Stream };
        }
        let is_first = number == 0;
        let mut decoder = if is_first { Decoder::new(self.how.options) } else { Decoder::inside(self.how.options) };
        decoder.set_shapes(learned.events.take().map(|mut shapes| {
            shapes.leap();
            shapes
        }));
        while decoder.decode(input, &mut at, usize::MAX, &mut digest) {}
        if let Some(broken) = broken {
            decoder.add_damage(&Damage::of_compression(decoder.stats().bytes, broken));
        }
        if *is_last {
            decoder.finish_events(&mut digest);
        }
        learned.events = decoder.take_shapes();
        let (stats, lines, nature) = (decoder.stats(), decoder.lines(), Nature::of(&decoder));
        Decoded { digest: digest.build(), stats, lines, nature }
    }

    /// Puts down what was found in a part, and tells it if it is its turn. What waited for it is told by whoever takes
    /// that next, part by part: the caller's thread is not to be away for long, however slow telling is.
    fn put_down(&self, number: usize, decoded: Decoded) {
        let mut queue = lock(&self.queue);
        queue.put_decoded(number, Box::new(decoded));
        let turn = queue.turn();
        drop(queue);
        if let Some(decoded) = turn {
            self.tell(*decoded);
        }
    }

    /// Tells what was found in a part, whose turn it is.
    fn tell(&self, decoded: Decoded) {
        let builder = lock(&self.told).add(decoded);
        let mut queue = lock(&self.queue);
        queue.told(builder);
        self.tell_idle(&queue);
    }
}

#[cfg(test)]
mod tests {
    use super::parts::Claim;
    use super::*;

    #[test]
    fn a_thread_tells_one_part_before_it_comes_back() {
        let path = std::env::temp_dir().join(format!("chunkwire-told-{}", std::process::id()));
        let event = "data: {\"id\":\"a\",\"choices\":[]}\n\n";
        std::fs::write(&path, event.repeat(5)).expect("a file can be written");
        let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
        let how = How { part_bytes: event.len(), ..How::new(Options::default(), 1) };
        let mut scan = Scan::new(blocks, Buffer::default(), how);
        let (file, ends) = scan.shared.file.as_ref().expect("it is a file");
        let claims = [(); 4].map(|()| match scan.shared.take() {
            Some(Taken::Claim(claim, _)) => claim,
            _ => panic!("no part"),
        });
        for claim in claims.into_iter().rev() {
            let Ok(part) = parts::at_once(file, ends, claim.at, event.len(), Buffer::default()) else {
                panic!("not read")
            };
            let decoded = scan.shared.decode(claim.number, &part, Builder::default(), &mut Learned::default());
            scan.shared.put_down(claim.number, decoded);
        }
        // The first was put down last, and the others waited for it.
        for told in 1..=4 {
            assert_eq!(lock(&scan.shared.told).stats().chunks, told);
            assert!(!scan.wait(Duration::ZERO));
            assert!(scan.work());
        }
        while scan.work() {}
        assert!(scan.wait(Duration::ZERO));
        let Ok(Outcome::Done(done)) = scan.finish() else { panic!("not read") };
        assert_eq!((done.1.chunks, done.0.rows.len()), (5, 1));
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn who_has_nothing_to_do_sleeps_soon_and_is_woken() {
        let path = std::env::temp_dir().join(format!("chunkwire-idle-{}", std::process::id()));
        let packed = zstd::encode_all(&b"data: {}\n\n"[..], 1).expect("memory");
        std::fs::write(&path, packed).expect("a file can be written");
        let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
        let shared = Shared::new(blocks, Buffer::default(), How::new(Options::default(), 8), Arc::default());
        let Some(Taken::Reading(..)) = shared.take() else { panic!("nobody reads it") };
        std::thread::scope(|scope| {
            let _end = EndOnPanic(&shared);
            let others: Vec<_> = (0..8).map(|_| scope.spawn(|| shared.take().is_none())).collect();
            let mut sleepers = 0;
            while sleepers < others.len() {
                let queue = lock(&shared.queue);
                assert!(queue.restless <= RESTLESS && queue.idle <= others.len());
                sleepers = queue.sleepers;
                drop(queue);
                std::thread::yield_now();
            }
            shared.end();
            assert!(others.into_iter().all(|other| other.join().expect("no panic")));
        });
        assert_eq!(lock(&shared.queue).idle, 0);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn what_is_written_behind_the_end_meanwhile_is_not_read() {
        let path = std::env::temp_dir().join(format!("chunkwire-grown-{}", std::process::id()));
        let log = "data: {\"id\":\"a\",\"choices\":[]}\n\n".repeat(10);
        for end in [log.len(), log.len() - 1, log.len() - 10] {
            std::fs::write(&path, &log[..end]).expect("a file can be written");
            let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
            let how = How { part_bytes: 1 << 10, ..How::new(Options::default(), 1) };
            let scan = Scan::new(blocks, Buffer::default(), how);
            let shared = &scan.shared;
            let Some((file, ends)) = &shared.file else { panic!("it is a file") };
            let read = |claim: Claim| {
                let Ok(part) = parts::at_once(file, ends, claim.at, 1 << 10, Buffer::default()) else {
                    panic!("not read")
                };
                part
            };
            let put_down = |claim: Claim, part: &Part| {
                let decoded = shared.decode(claim.number, part, Builder::default(), &mut Learned::default());
                shared.put_down(claim.number, decoded);
            };
            // Both parts are claimed before anybody sees the end.
            let claims = [(); 2].map(|()| match shared.take() {
                Some(Taken::Claim(claim, _)) => claim,
                _ => panic!("no part"),
            });
            let last = read(claims[0]);
            assert!(last.is_last && claims[0].is_news(&last, 1 << 10));
            lock(&shared.queue).note(claims[0], &last);
            std::fs::write(&path, log.repeat(20)).expect("a file can be written");
            let behind = read(claims[1]);
            assert!(!behind.buffer.is_empty());
            put_down(claims[1], &behind);
            put_down(claims[0], &last);
            let Ok(Outcome::Done(done)) = scan.finish() else { panic!("not read") };
            assert_eq!(done.1.bytes, end as u64);
            assert_eq!((done.1.chunks, done.1.damaged), if end + 2 > log.len() { (10, 0) } else { (9, 1) });
        }
        let _ = std::fs::remove_file(path);
    }
}
