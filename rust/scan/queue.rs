//! Which thread does what next: claims on parts out, parts that were read and parts that were decoded in.
//!
//! A file that all threads read at once is claimed part by part. Anything else is read by one thread at a time. Where it
//! is light to read, whoever has read a part decodes it, for it has the bytes in its cache, and another reads on that has
//! nothing to do. (Between processors that share no cache bytes take longer to get across than to be decoded.) Where it
//! is not, one thread reads on as long as it can, and others decode. What was decoded waits here until what stands before
//! it in the source has been told.

use std::collections::{BTreeMap, VecDeque};
use std::thread::{self, ThreadId};

use super::Failure;
use super::parts::{Claim, Part, Reading};
use super::told::Decoded;
use crate::record::Builder;
use crate::source::Buffer;

/// So many parts of a source that is read in turn may wait to be decoded while all others are busy, before the one that
/// reads has to do it: enough that reading seldom has to stop.
const READY: usize = 3;
/// While what was decoded and waits to be told has more bytes than this, no more parts are begun. (Seldom has it more
/// than some: a source that is all damage or short streams has nearly as much to tell as it has bytes.)
const MOST_WAITING: usize = 64 << 20;

/// What the threads share for moments.
pub(super) struct Queue {
    /// The next part to be read, if there is one: its number, and behind which byte it begins.
    claim: Option<Claim>,
    /// Do all threads read the source at once?
    is_at_once: bool,
    /// What is left of one that is read in turn, while nobody reads it.
    reading: Option<Box<Reading>>,
    /// Is it [light](Reading::is_light), and who read last?
    is_light: bool,
    reader: Option<ThreadId>,
    /// Parts that were read, and wait to be decoded, and who read them.
    ready: VecDeque<(usize, Part, ThreadId)>,
    /// So many parts may be claimed before the first of them has been told.
    ahead: usize,
    /// The next part to be told, and the number of the last part, when that is known.
    next: usize,
    last: usize,
    /// Those that were decoded and wait, and how many bytes they have.
    waiting: BTreeMap<usize, Box<Decoded>>,
    waiting_bytes: usize,
    /// Somebody tells parts.
    is_telling: bool,
    pub failure: Option<Failure>,
    /// Has somebody got the result?
    is_taken: bool,
    /// How many threads have nothing to do, and how many of them are [restless](crate::source::restless).
    pub idle: usize,
    pub restless: usize,
    /// How many have to be woken when something changes.
    pub sleepers: usize,
    /// Memory of parts that were decoded, and of digests that were told.
    pub spares: Vec<Buffer>,
    builders: Vec<Builder>,
}

/// What a thread is to do. (An empty builder is for the digest of the part.)
pub(super) enum Taken {
    /// Read and decode a part of a file that all read.
    Claim(Claim, Builder),
    /// Read a part, and go on when that is [put](Queue::put) down.
    Reading(Claim, Box<Reading>),
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
            is_light: reading.as_ref().is_some_and(|reading| reading.is_light()),
            reading,
            reader: None,
            ready: VecDeque::new(),
            ahead: 2 * threads + 2,
            next: 0,
            last: usize::MAX,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            is_telling: false,
            failure: None,
            is_taken: false,
            idle: 0,
            restless: 0,
            sleepers: 0,
            spares: Vec::new(),
            builders: Vec::new(),
        }
    }

    /// What the calling thread can do now, with parts of so many bytes.
    pub fn take(&mut self, part_bytes: usize) -> Option<Taken> {
        let has_room = |claim: &Claim| claim.number < self.next + self.ahead && self.waiting_bytes < MOST_WAITING;
        let claim = self.claim.filter(has_room);
        let caller = thread::current().id();
        let own = self.ready.iter().position(|&(_, _, reader)| reader == caller);
        // Nothing is done sooner than all is read, so reading rests only where nobody has time for it.
        let is_reader = match self.is_light {
            true => own.is_none() || self.idle == 0,
            false => self.reader == Some(caller) || self.ready.is_empty(),
        };
        if let Some(claim) = claim
            && is_reader
            && self.ready.len() < READY
            && let Some(reading) = self.reading.take()
        {
            self.claim = Some(claim.next(part_bytes));
            self.reader = Some(caller);
            return Some(Taken::Reading(claim, reading));
        }
        if let Some(decoded) = self.turn() {
            return Some(Taken::Turn(decoded));
        }
        if let Some(claim) = claim
            && self.is_at_once
        {
            self.claim = Some(claim.next(part_bytes));
            return Some(Taken::Claim(claim, self.builders.pop().unwrap_or_default()));
        }
        let first = own.filter(|_| self.is_light).unwrap_or(0);
        let (number, part, _) = self.ready.remove(first)?;
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

    /// Puts down what the calling thread has read, and what is left.
    pub fn put(&mut self, claim: Claim, part: Part, reading: Box<Reading>) {
        self.ready.push_back((claim.number, part, thread::current().id()));
        self.reading = Some(reading);
    }

    /// Puts down what was found in a part.
    pub fn put_decoded(&mut self, number: usize, decoded: Box<Decoded>) {
        self.waiting_bytes += decoded.digest.memory();
        self.waiting.insert(number, decoded);
    }

    /// The part whose turn it is to be told, if it is there and nobody tells another: the caller is to tell it, to note
    /// [that](Self::told), and to come back for the next.
    pub fn turn(&mut self) -> Option<Box<Decoded>> {
        // (Behind the last part there can be others, of a file that grew meanwhile.)
        if self.is_telling || self.next > self.last {
            return None;
        }
        let next = self.waiting.remove(&self.next)?;
        self.waiting_bytes -= next.digest.memory();
        self.is_telling = true;
        Some(next)
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, mpsc};

    use super::super::digest::Digest;
    use super::super::lock;
    use super::super::told::Nature;
    use super::*;
    use crate::decoder::{Sink, Stats};
    use crate::error::Place;
    use crate::scan::parts::{EVENT_ENDS, Parts};
    use crate::source::Blocks;

    const PART_BYTES: usize = 1 << 12;

    /// A file that is read, while nobody has begun.
    fn reading(name: &str, packed: &[u8]) -> Box<Reading> {
        let path = std::env::temp_dir().join(format!("chunkwire-queue-{name}-{}", std::process::id()));
        std::fs::write(&path, packed).expect("a file can be written");
        let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
        let Parts::InTurn(reading) = Parts::new(blocks, Buffer::default(), EVENT_ENDS) else { panic!("it is packed") };
        let _ = std::fs::remove_file(path);
        reading
    }

    fn gzip(log: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(log).expect("memory");
        gzip.finish().expect("memory")
    }

    /// The queue of two threads that read a file, of which the caller has read the first part.
    fn begun(name: &str, packed: &[u8]) -> Queue {
        let mut queue = Queue::new(Some(reading(name, packed)), 2);
        let Some(Taken::Reading(claim, mut reading)) = queue.take(PART_BYTES) else { panic!("nobody reads it") };
        let Ok(part) = reading.part(PART_BYTES, Buffer::default()) else { panic!("not read") };
        queue.note(claim, &part);
        queue.put(claim, part, reading);
        queue
    }

    /// What the caller does next, and the other.
    fn next(mut queue: Queue, idle: usize) -> [&'static str; 2] {
        queue.idle = idle;
        let name = |taken: Option<Taken>| match taken {
            Some(Taken::Reading(..)) => "reads",
            Some(Taken::Part(..)) => "decodes",
            _ => "waits",
        };
        let caller = name(queue.take(PART_BYTES));
        queue.idle = 0;
        let queue = &mut queue;
        let other = std::thread::scope(|scope| scope.spawn(move || name(queue.take(PART_BYTES))).join());
        [caller, other.expect("no panic")]
    }

    #[test]
    fn who_has_read_a_part_decodes_it_where_another_can_read_on() {
        let log = b"data: {\"id\":\"a\",\"choices\":[]}\n\n".repeat(1000);
        let gzip = gzip(&log);
        assert_eq!(next(begun("gzip", &gzip), 1), ["decodes", "reads"]);
        assert_eq!(next(begun("gzip-busy", &gzip), 0), ["reads", "decodes"]);
        let mut full = begun("full", &gzip);
        full.waiting_bytes = MOST_WAITING;
        assert_eq!(next(full, 0), ["decodes", "waits"]);
        let zstd = zstd::encode_all(&log[..], 3).expect("memory");
        for idle in [0, 1] {
            assert_eq!(next(begun("zstd", &zstd), idle), ["reads", "decodes"]);
        }
    }

    /// What threads share, and what came of it: the parts that were told, as they were read.
    struct Scene {
        queue: Queue,
        changes: usize,
        texts: Vec<Vec<u8>>,
        told: Vec<u64>,
    }

    /// What a thread is at.
    enum At {
        Nothing,
        Taken(Box<Taken>),
        /// It waits for a change from so many on.
        Idle(usize),
        Gone,
    }

    impl Scene {
        /// One step of the calling thread, as far as it goes without the queue; false if it waits or has left.
        fn step(&mut self, at: At, part_bytes: usize) -> (At, bool) {
            match at {
                At::Gone => return (At::Gone, false),
                At::Idle(seen) if seen == self.changes => return (at, false),
                At::Idle(_) => self.queue.idle -= 1,
                At::Nothing => {}
                At::Taken(taken) => return (self.put_down(*taken, part_bytes), true),
            }
            if let Some(taken) = self.queue.take(part_bytes) {
                (At::Taken(Box::new(taken)), true)
            } else if self.queue.is_claimed() {
                (At::Gone, true)
            } else {
                self.queue.idle += 1;
                (At::Idle(self.changes), true)
            }
        }

        fn put_down(&mut self, taken: Taken, part_bytes: usize) -> At {
            match taken {
                Taken::Claim(..) => panic!("it is read in turn"),
                Taken::Reading(claim, mut reading) => {
                    let Ok(part) = reading.part(part_bytes, Buffer::default()) else { panic!("not read") };
                    assert_eq!(claim.number, self.texts.len());
                    self.texts.push(part.buffer.to_vec());
                    self.queue.note(claim, &part);
                    self.queue.put(claim, part, reading);
                    self.changes += 1;
                }
                Taken::Part(number, ..) => {
                    let mut digest = Digest::new(Builder::default(), false);
                    digest.done(Place::default());
                    let digest = digest.build();
                    let lines = number as u64;
                    let decoded = Decoded { digest, stats: Stats::default(), lines, nature: Nature::Unknown };
                    self.queue.put_decoded(number, Box::new(decoded));
                    return self.queue.turn().map_or(At::Nothing, |decoded| At::Taken(Box::new(Taken::Turn(decoded))));
                }
                Taken::Turn(decoded) => {
                    self.told.push(decoded.lines);
                    self.queue.told(Builder::default());
                    self.changes += 1;
                }
            }
            At::Nothing
        }
    }

    /// Numbers that look like chance.
    fn below(state: &mut u32, end: usize) -> usize {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) as usize % end
    }

    /// Lets threads take their steps in an order that looks like chance, some of them a hundred times as often as others.
    fn play(scene: &Mutex<Scene>, threads: usize, part_bytes: usize, state: &mut u32) {
        std::thread::scope(|scope| {
            let actors: Vec<_> = (0..threads)
                .map(|_| {
                    let (turn, turns) = mpsc::channel();
                    let (done, dones) = mpsc::channel();
                    scope.spawn(move || {
                        let mut at = At::Nothing;
                        for () in turns {
                            let (next, has_moved) = lock(scene).step(at, part_bytes);
                            at = next;
                            done.send(has_moved).expect("somebody listens");
                        }
                    });
                    (turn, dones)
                })
                .collect();
            let mut step = |thread: usize| {
                let (turn, dones) = &actors[thread];
                turn.send(()).expect("it is there");
                dones.recv().expect("no panic")
            };
            let slow: Vec<_> = (0..threads).map(|_| [1, 1, 10, 100][below(state, 4)]).collect();
            let mut vain = 0;
            // Where so many steps were in vain, nobody has anything to do, or only one who is slow.
            while vain < 20 || (0..threads).any(&mut step) {
                let thread = below(state, threads);
                if below(state, slow[thread]) == 0 {
                    vain = if step(thread) { 0 } else { vain + 1 };
                }
                let queue = &lock(scene).queue;
                assert!(queue.ready.len() <= READY && queue.waiting.len() <= queue.ahead);
                assert!(queue.claim.is_none_or(|claim| claim.number <= queue.next + queue.ahead));
            }
        });
    }

    #[test]
    fn all_is_told_in_order_whichever_thread_is_slow() {
        let mut state = 1;
        for round in 0..60 {
            let mut log = Vec::new();
            for _ in 0..below(&mut state, 200) {
                log.extend(std::iter::repeat_n(b'x', below(&mut state, 300)));
                log.extend_from_slice(b"\n\n");
            }
            let packed = match round % 3 {
                0 => zstd::encode_all(&log[..], 3).expect("memory"),
                _ => gzip(&log),
            };
            let threads = 1 + below(&mut state, 6);
            let mut queue = Queue::new(Some(reading("played", &packed)), threads);
            // Of some no part is begun while one waits to be told.
            let waiting_bytes = if round % 4 == 0 { MOST_WAITING - 1 } else { 0 };
            queue.waiting_bytes = waiting_bytes;
            let scene = Mutex::new(Scene { queue, changes: 0, texts: Vec::new(), told: Vec::new() });
            play(&scene, threads, [1, 100, 1000, 1 << 12][below(&mut state, 4)], &mut state);
            let Scene { queue, texts, told, .. } = scene.into_inner().expect("no panic");
            assert!(queue.is_done() && queue.idle == 0, "all wait: {} of {} told", told.len(), texts.len());
            assert_eq!(queue.waiting_bytes, waiting_bytes);
            assert!(told.into_iter().eq(0..texts.len() as u64));
            assert_eq!(texts.concat(), log);
        }
    }
}
