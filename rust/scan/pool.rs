//! The pool: many files in, their columns and counts in the order of the files out, by several threads.
//!
//! Whoever has nothing to do takes the largest file that nobody has begun, or some small ones; where none is left it
//! helps with one that another thread reads, part by part. So all have work until the last part is taken, whether the
//! files are many and small or one is huge. What they find is put together in the order of the files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Outcome, Shared, lock};
use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Options, Sink, Stats};
use crate::error::{Broken, Damage};
use crate::source::{Blocks, Buffer, HEAD_BYTES, Head, Packing};
use crate::stream::{Measured, Streams, Tracker};
use crate::usage::{Columns, Objects};

/// Small files are taken together, so many at most, or until they have so many bytes.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: u64 = 1 << 20;
/// A packed file counts as so many times its size.
const PACKED_WEIGHT: u64 = 10;

/// What a caller can choose.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Those of each decoder.
    pub options: Options,
    /// How many threads there are to be, of which the caller is one.
    pub threads: usize,
    /// How large the parts of a large file are, about, and from which size on a file is large.
    pub part_bytes: usize,
    /// See there.
    pub large: u64,
    /// Is it to be [measured](crate::stream::Measured) how much was written?
    pub measures: bool,
    /// The most bytes that may come out of a packed file, if not the default.
    pub most: Option<u64>,
}

/// What became of a file.
pub enum Read {
    /// It was read, and has so many rows.
    Rows(usize, Box<Stats>),
    /// It could not be read.
    Failed(io::Error),
    /// It is not for the pool: no file of a known size, one in which no event ends for long, or a large one where there
    /// is but one thread (beside which another could read ahead). The caller has to read it.
    Elsewhere,
}

/// The columns of files that follow each other, and what became of each of them.
#[derive(Default)]
pub struct Table {
    /// The number of the first file.
    pub first: usize,
    /// One for each.
    pub reads: Vec<Read>,
    /// The rows of all of them.
    pub columns: Columns,
}

impl Table {
    /// Another file; what its columns cannot hold is damage.
    fn add(&mut self, result: io::Result<(Streams, Stats)>, objects: &mut Objects) {
        let read = match result {
            Ok((streams, mut stats)) => {
                let rows = streams.rows.len();
                self.columns.extend(streams, objects);
                for damage in self.columns.damages.drain(..) {
                    stats.add(&damage);
                }
                Read::Rows(rows, Box::new(stats))
            }
            Err(error) => Read::Failed(error),
        };
        self.reads.push(read);
    }
}

/// Files that one thread takes at once: many small ones, or a large one.
struct Job {
    first: usize,
    count: usize,
    weight: u64,
    is_large: bool,
}

/// A large file that is being read.
struct Open {
    number: usize,
    scan: Shared,
}

struct State {
    /// The largest last.
    jobs: Vec<Job>,
    /// How many large files are about to be opened.
    opening: usize,
    open: Vec<Arc<Open>>,
    tables: Vec<Table>,
    /// How many jobs have no result yet.
    left: usize,
}

struct Common {
    setup: Setup,
    paths: Vec<PathBuf>,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
    read: Arc<AtomicU64>,
}

/// Files that are being read.
pub struct Pool {
    common: Arc<Common>,
    helpers: Vec<JoinHandle<()>>,
    worker: Worker,
}

/// What a thread has for itself.
struct Worker {
    shapes: Option<Box<Shapes>>,
    objects: Objects,
    memory: Buffer,
    open: Option<Arc<Open>>,
}

impl Pool {
    /// Begins to read the files. The caller has to call [`Pool::work`] until that says that nothing is left, and then
    /// [`Pool::wait`].
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, setup: Setup) -> Self {
        let (jobs, tables) = jobs(&paths, &setup);
        let (left, has_large) = (jobs.len(), jobs.iter().any(|job| job.is_large));
        let state = State { jobs, opening: 0, open: Vec::new(), tables, left };
        let common = Arc::new(Common {
            setup,
            paths,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            read: Arc::default(),
        });
        // A large file has work for all. Where the system has no thread to give, those that it gave do the work.
        let threads = if has_large { setup.threads } else { setup.threads.min(left) };
        let helpers = (1..threads).map_while(|_| {
            let common = common.clone();
            let thread = std::thread::Builder::new().name("chunkwire-pool".into());
            thread
                .spawn(move || {
                    let _end = EndOnPanic(&common);
                    let mut worker = Worker::new(&common.setup);
                    while common.work(&mut worker) {}
                })
                .ok()
        });
        let helpers = helpers.collect();
        Self { worker: Worker::new(&setup), common, helpers }
    }

    /// Does a piece of the work; false if none is left to begin.
    pub fn work(&mut self) -> bool {
        self.common.work(&mut self.worker)
    }

    /// Waits until the others have done their pieces; false if they have not for so long.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let state = lock(&self.common.state);
        let busy = |state: &mut State| state.left > 0 && !self.common.stop.load(Relaxed);
        let waited = self.common.changed.wait_timeout_while(state, patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many bytes of files were read.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.common.read.load(Relaxed)
    }

    /// What was found, in the order of the files: a table for each run of files that were not left to the caller.
    ///
    /// # Panics
    ///
    /// If another thread did.
    #[must_use]
    pub fn finish(mut self) -> Vec<Table> {
        for helper in self.helpers.drain(..) {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let mut tables = std::mem::take(&mut lock(&self.common.state).tables);
        tables.sort_unstable_by_key(|table| table.first);
        let mut joined: Vec<Table> = Vec::new();
        for table in tables {
            let is_elsewhere = |table: &Table| matches!(table.reads[..], [Read::Elsewhere]);
            match joined.last_mut() {
                Some(last) if !is_elsewhere(last) && !is_elsewhere(&table) => {
                    last.columns.append(&table.columns);
                    last.reads.extend(table.reads);
                }
                _ => joined.push(table),
            }
        }
        joined
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.common.end();
    }
}

/// Ends the work of all if its own thread panics.
struct EndOnPanic<'a>(&'a Common);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// The jobs that the files are, and the results of those that are none.
fn jobs(paths: &[PathBuf], setup: &Setup) -> (Vec<Job>, Vec<Table>) {
    let (mut jobs, mut tables): (Vec<Job>, Vec<Table>) = (Vec::new(), Vec::new());
    for (number, path) in paths.iter().enumerate() {
        let read = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let packed = is_called_packed(path);
                let weight = metadata.len().saturating_mul(if packed { PACKED_WEIGHT } else { 1 });
                let is_large = weight >= setup.large;
                match jobs.last_mut() {
                    _ if is_large && setup.threads < 2 => {
                        let reads = vec![Read::Elsewhere];
                        tables.push(Table { first: number, reads, columns: Columns::default() });
                    }
                    Some(job)
                        if !is_large
                            && !job.is_large
                            && job.first + job.count == number
                            && job.count < TOGETHER
                            && job.weight < TOGETHER_BYTES =>
                    {
                        job.count += 1;
                        job.weight += weight;
                    }
                    _ => jobs.push(Job { first: number, count: 1, weight, is_large }),
                }
                continue;
            }
            Ok(_) => Read::Elsewhere,
            Err(error) => Read::Failed(error),
        };
        tables.push(Table { first: number, reads: vec![read], columns: Columns::default() });
    }
    jobs.sort_by_key(|job| job.weight);
    (jobs, tables)
}

fn is_called_packed(path: &std::path::Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    ["gz", "zst", "xz", "bz2", "br"].iter().any(|packed| suffix.eq_ignore_ascii_case(packed))
}

enum Next {
    Job(Job),
    Help(Arc<Open>),
    Nothing,
}

impl Common {
    fn end(&self) {
        self.stop.store(true, Relaxed);
        let state = lock(&self.state);
        for open in &state.open {
            open.scan.end();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            if self.stop.load(Relaxed) {
                return Next::Nothing;
            }
            if let Some(job) = state.jobs.pop() {
                state.opening += usize::from(job.is_large);
                return Next::Job(job);
            }
            state.open.retain(|open| open.scan.has_more());
            let fewest = state.open.iter().min_by_key(|open| open.scan.readers.load(Relaxed));
            if let Some(open) = fewest {
                open.scan.readers.fetch_add(1, Relaxed);
                return Next::Help(open.clone());
            }
            if state.opening == 0 {
                return Next::Nothing;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, worker: &mut Worker) -> bool {
        let Some(open) = &worker.open else {
            match self.next() {
                Next::Job(job) if job.is_large => self.open(&job, worker),
                Next::Job(job) => {
                    let table = self.read_together(&job, worker);
                    self.give(table);
                }
                Next::Help(open) => worker.open = Some(open),
                Next::Nothing => return false,
            }
            return true;
        };
        let more = open.scan.work(&mut worker.shapes);
        let done = open.scan.done();
        if let Some(outcome) = done {
            let mut table = Table { first: open.number, ..Table::default() };
            match outcome {
                Ok(Outcome::Done(done)) => table.add(Ok(*done), &mut worker.objects),
                Ok(Outcome::NoParts) => table.reads.push(Read::Elsewhere),
                Err(error) => table.reads.push(Read::Failed(error)),
            }
            self.give(table);
        }
        if !more {
            open.scan.readers.fetch_sub(1, Relaxed);
            worker.open = None;
        }
        true
    }

    fn give(&self, table: Table) {
        let mut state = lock(&self.state);
        state.tables.push(table);
        state.left -= 1;
        if state.left == 0 {
            self.changed.notify_all();
        }
    }

    /// Opens a large file, for whoever has time.
    fn open(&self, job: &Job, worker: &mut Worker) {
        let Setup { options, threads, part_bytes, measures, most, .. } = self.setup;
        let opened = Blocks::open(&self.paths[job.first], most);
        let mut state = lock(&self.state);
        state.opening -= 1;
        match opened {
            Ok(blocks) => {
                let scan =
                    Shared::new(Box::new(blocks), options, threads, part_bytes, measures, None, self.read.clone());
                scan.readers.store(1, Relaxed);
                let open = Arc::new(Open { number: job.first, scan });
                state.open.push(open.clone());
                worker.open = Some(open);
                drop(state);
            }
            Err(error) => {
                drop(state);
                let read = Read::Failed(error);
                self.give(Table { first: job.first, reads: vec![read], columns: Columns::default() });
            }
        }
        self.changed.notify_all();
    }

    /// Reads small files.
    fn read_together(&self, job: &Job, worker: &mut Worker) -> Table {
        let mut table = Table { first: job.first, ..Table::default() };
        table.reads.reserve(job.count);
        for number in job.first..job.first + job.count {
            let result = if self.setup.measures {
                self.read(number, worker, Measured::default(), Measured::into_tracker)
            } else {
                self.read(number, worker, Tracker::default(), |tracker| tracker)
            };
            table.add(result, &mut worker.objects);
        }
        table
    }

    fn read<S: Sink>(
        &self,
        number: usize,
        worker: &mut Worker,
        mut sink: S,
        tracker: impl Fn(S) -> Tracker,
    ) -> io::Result<(Streams, Stats)> {
        let path = &self.paths[number];
        let mut decoder = Decoder::new(self.setup.options);
        decoder.set_shapes(worker.shapes.take());
        let size = read_whole(path, &mut worker.memory);
        let result = match size {
            Ok(true) => {
                self.read.fetch_add(worker.memory.len() as u64, Relaxed);
                let mut at = 0;
                while decoder.decode(&worker.memory, &mut at, usize::MAX, &mut sink) {}
                Ok(())
            }
            Ok(false) => self.read_blocks(path, &mut decoder, &mut sink),
            Err(error) => Err(error),
        };
        decoder.finish(&mut sink);
        worker.shapes = decoder.take_shapes();
        result?;
        Ok((tracker(sink).finish(), decoder.stats()))
    }

    fn read_blocks<S: Sink>(&self, path: &std::path::Path, decoder: &mut Decoder, sink: &mut S) -> io::Result<()> {
        let mut blocks = Blocks::open(path, self.setup.most)?;
        let mut before = 0;
        while !self.stop.load(Relaxed) {
            match blocks.next_block() {
                Ok(None) => break,
                Ok(Some(block)) => {
                    let read = blocks.packed_bytes().unwrap_or(before + block.len() as u64);
                    self.read.fetch_add(read - std::mem::replace(&mut before, read), Relaxed);
                    let mut at = 0;
                    while decoder.decode(&block, &mut at, usize::MAX, sink) {}
                    blocks.give_back(block);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let broken = Broken::of(error)?;
                    decoder.add_damage(&Damage::of_compression(decoder.stats().bytes, &broken));
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Worker {
    fn new(setup: &Setup) -> Self {
        Self { shapes: None, objects: Objects::new(setup.options.shapes), memory: Buffer::default(), open: None }
    }
}

/// Reads a small file that is not packed; false if it is packed or not small.
fn read_whole(path: &std::path::Path, memory: &mut Buffer) -> io::Result<bool> {
    const ROOM: usize = 1 << 16;
    let mut file = File::open(path)?;
    memory.begin(&[], ROOM);
    let mut left = ROOM;
    while left > 0 {
        match file.read(memory.room(left)) {
            Ok(0) => {
                let head = &memory[..memory.len().min(HEAD_BYTES)];
                let is_brotli = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("br"));
                return Ok(!matches!(Packing::of(head), Head::Packed(_)) && !is_brotli);
            }
            Ok(length) => {
                memory.fill(length);
                left -= length;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // It may have more, and then it is no smaller than what is read twice.
    Ok(false)
}
