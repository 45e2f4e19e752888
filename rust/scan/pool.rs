//! The pool: many files in, their columns and counts in the order of the files out, by several threads.
//!
//! Whoever has nothing to do takes the largest file that nobody has begun, or some small ones; where none is left it
//! helps with one that another thread reads, part by part. So all have work until the last part is taken, whether the
//! files are many and small or one is huge. What they find is put together in the order of the files.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::alone::{self, Alone};
use super::{How, Outcome, Own, Shared, lock};
use crate::decoder::{Options, Stats};
use crate::log::{Format, Wanted};
use crate::source::{Blocks, Buffer};
use crate::stream::Streams;
use crate::usage::{Columns, Objects};

/// Small files are taken together, so many at most, or until they have so many bytes.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: u64 = 1 << 20;
/// A packed file counts as so many times its size.
const PACKED_WEIGHT: u64 = 10;
/// So many blocks are read of small files before the caller may look at something else: of packed ones any number may
/// come out.
const BLOCKS_AT_ONCE: usize = 64;

/// What a caller can choose.
pub struct Setup {
    /// Those of each decoder.
    pub options: Options,
    /// What is wanted of each log.
    pub wanted: Wanted,
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
    /// It is not for the pool: no file of a known size, one that has to be converted first, one in which no event ends
    /// for long, or a large one where there is but one thread (beside which another could read ahead). The caller has to
    /// read it.
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
    /// That of a file without rows; `kept` members of exchanges would be in its columns.
    fn of(first: usize, read: Read, kept: usize) -> Self {
        Self { first, reads: vec![read], columns: Columns::without_rows(kept) }
    }

    fn is_elsewhere(&self) -> bool {
        matches!(self.reads[..], [Read::Elsewhere])
    }

    /// Another file; what its columns cannot hold is damage.
    fn add(&mut self, result: io::Result<Option<(Streams, Stats)>>, objects: &mut Objects) {
        let read = match result {
            Ok(None) => Read::Elsewhere,
            Ok(Some((streams, mut stats))) => {
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
    own: Own,
    objects: Objects,
    at: At,
}

/// The files that a thread is at.
#[derive(Default)]
enum At {
    #[default]
    Nothing,
    /// One that others read, too.
    Open(Arc<Open>),
    /// One that cannot be split, by its number.
    Alone(usize, Box<Alone>),
    /// Small ones, one behind the other.
    Together(Box<Together>),
}

/// Small files that one thread reads.
struct Together {
    /// The first that is not read yet, and the end of all.
    number: usize,
    end: usize,
    /// It has begun to read that.
    begun: Option<Alone>,
    tables: Vec<Table>,
}

impl Pool {
    /// Begins to read the files. The caller has to call [`Pool::work`] until that says that nothing is left, and then
    /// [`Pool::wait`].
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, setup: Setup) -> Self {
        let (jobs, tables) = jobs(&paths, &setup);
        let (left, has_large) = (jobs.len(), jobs.iter().any(|job| job.is_large));
        // A large file has work for all.
        let threads = if has_large { setup.threads } else { setup.threads.min(left) };
        let worker = Worker::new(&setup);
        let state = State { jobs, opening: 0, open: Vec::new(), tables, left };
        let common = Arc::new(Common {
            setup,
            paths,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            read: Arc::default(),
        });
        // Where the system has no thread to give, those that it gave do the work.
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
        Self { common, helpers, worker }
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
        for mut table in tables {
            match joined.last_mut() {
                Some(last) if !last.is_elsewhere() && !table.is_elsewhere() => {
                    if last.columns.is_empty() {
                        std::mem::swap(&mut last.columns, &mut table.columns);
                    }
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
    let kept = setup.wanted.keep.len();
    for (number, path) in paths.iter().enumerate() {
        let read = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let packed = is_called_packed(path);
                let weight = weight(metadata.len(), packed);
                let is_large = weight >= setup.large;
                match jobs.last_mut() {
                    _ if is_large && setup.threads < 2 => {
                        tables.push(Table::of(number, Read::Elsewhere, kept));
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
        tables.push(Table::of(number, read, kept));
    }
    jobs.sort_by_key(|job| job.weight);
    (jobs, tables)
}

/// How many bytes a file of so many counts as, when it is asked whether it is large.
#[must_use]
pub fn weight(size: u64, is_packed: bool) -> u64 {
    size.saturating_mul(if is_packed { PACKED_WEIGHT } else { 1 })
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
        match std::mem::take(&mut worker.at) {
            At::Nothing => match self.next() {
                Next::Job(job) if job.is_large => self.open(job.first, worker),
                Next::Job(Job { first, count, .. }) => {
                    let some = Together { number: first, end: first + count, begun: None, tables: Vec::new() };
                    self.read_together(Box::new(some), worker);
                }
                Next::Help(open) => worker.at = At::Open(open),
                Next::Nothing => return false,
            },
            At::Open(open) => self.go_on(open, worker),
            At::Together(some) => self.read_together(some, worker),
            At::Alone(number, mut alone) => match alone.work(&self.read) {
                Ok(true) if !self.stop.load(Relaxed) => worker.at = At::Alone(number, alone),
                more => {
                    let found = more.map(|_| {
                        let (streams, stats, _) = alone.finish(&mut worker.own.learned);
                        Some((streams, stats))
                    });
                    self.give(vec![self.table(number, found, worker)]);
                }
            },
        }
        true
    }

    /// Reads a part of a large file.
    fn go_on(&self, open: Arc<Open>, worker: &mut Worker) {
        let more = open.scan.work(&mut worker.own);
        if let Some(outcome) = open.scan.done() {
            let found = outcome.map(|outcome| match outcome {
                Outcome::Done(done) => Some(*done),
                Outcome::NoParts => None,
            });
            self.give(vec![self.table(open.number, found, worker)]);
        }
        if more {
            worker.at = At::Open(open);
        } else {
            open.scan.readers.fetch_sub(1, Relaxed);
        }
    }

    /// A table of one file.
    fn table(&self, number: usize, found: io::Result<Option<(Streams, Stats)>>, worker: &mut Worker) -> Table {
        let mut table = self.no_rows(number);
        table.add(found, &mut worker.objects);
        table
    }

    fn no_rows(&self, first: usize) -> Table {
        Table { first, reads: Vec::new(), columns: Columns::without_rows(self.setup.wanted.keep.len()) }
    }

    /// The tables of a job.
    fn give(&self, tables: Vec<Table>) {
        let mut state = lock(&self.state);
        state.tables.extend(tables);
        state.left -= 1;
        if state.left == 0 {
            self.changed.notify_all();
        }
    }

    /// Opens a large file, for whoever has time if it can be split.
    fn open(&self, number: usize, worker: &mut Worker) {
        let begun = self.begin(number, worker);
        let mut state = lock(&self.state);
        state.opening -= 1;
        let given = match begun {
            Ok(Some(Begun::Parts(scan))) => {
                scan.readers.store(1, Relaxed);
                let open = Arc::new(Open { number, scan: *scan });
                state.open.push(open.clone());
                worker.at = At::Open(open);
                None
            }
            Ok(Some(Begun::Alone(alone))) => {
                worker.at = At::Alone(number, alone);
                None
            }
            Ok(None) => Some(Read::Elsewhere),
            Err(error) => Some(Read::Failed(error)),
        };
        drop(state);
        if let Some(read) = given {
            self.give(vec![Table::of(number, read, self.setup.wanted.keep.len())]);
        }
        self.changed.notify_all();
    }

    /// Recognises a large file; None if it is not for this.
    fn begin(&self, number: usize, worker: &mut Worker) -> io::Result<Option<Begun>> {
        let Setup { options, ref wanted, threads, part_bytes, measures, most, .. } = self.setup;
        let mut blocks = Box::new(Blocks::open(&self.paths[number], most)?);
        let mut head = Buffer::default();
        let layout = alone::recognise(&mut blocks, &wanted.request, &mut head)?;
        if layout.is_split(&head) {
            let lines = (layout.format != Format::Sse).then(|| (wanted.clone(), layout));
            let how = How { options, threads, part_bytes, measures, lines };
            let scan = Shared::new(blocks, head, how, self.read.clone());
            return Ok(Some(Begun::Parts(Box::new(scan))));
        }
        let alone = Alone::new(Some(blocks), head, &self.setup, &mut worker.own.learned);
        Ok(alone.map(|alone| Begun::Alone(Box::new(alone))))
    }

    /// Reads small files, some blocks of them.
    fn read_together(&self, mut some: Box<Together>, worker: &mut Worker) {
        let mut left = BLOCKS_AT_ONCE;
        while some.number < some.end && !self.stop.load(Relaxed) {
            let begun =
                some.begun.take().map_or_else(|| self.begin_small(some.number, worker), |alone| Ok(Some(alone)));
            let found = match begun {
                Ok(Some(mut alone)) => match self.read(&mut alone, &mut left) {
                    Ok(true) => {
                        some.begun = Some(alone);
                        worker.at = At::Together(some);
                        return;
                    }
                    Ok(false) => {
                        let (streams, stats, memory) = alone.finish(&mut worker.own.learned);
                        worker.own.memory = memory;
                        Ok(Some((streams, stats)))
                    }
                    Err(error) => Err(error),
                },
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            match some.tables.last_mut() {
                Some(table) if !table.is_elsewhere() && !matches!(found, Ok(None)) => {
                    table.add(found, &mut worker.objects);
                }
                _ => some.tables.push(self.table(some.number, found, worker)),
            }
            some.number += 1;
        }
        self.give(some.tables);
    }

    /// Recognises a small file; None if it is not for this.
    fn begin_small(&self, number: usize, worker: &mut Worker) -> io::Result<Option<Alone>> {
        let Own { learned, memory } = &mut worker.own;
        let blocks = alone::begin(&self.paths[number], self.setup.most, &self.setup.wanted.request, memory)?;
        Ok(Alone::new(blocks, std::mem::take(memory), &self.setup, learned))
    }

    /// Reads so many blocks of a small file; true if there may be more.
    fn read(&self, alone: &mut Alone, left: &mut usize) -> io::Result<bool> {
        while alone.work(&self.read)? {
            *left -= 1;
            if *left == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A large file that can be read.
enum Begun {
    Parts(Box<Shared>),
    Alone(Box<Alone>),
}

impl Worker {
    fn new(setup: &Setup) -> Self {
        let objects = Objects::new(setup.options.shapes);
        Self { own: Own::default(), objects, at: At::Nothing }
    }
}
