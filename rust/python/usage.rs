//! Usage columns as bytes for NumPy.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::block::{Block, Feed, Next, os_error};
use super::convert::{self, array};
use super::errors;
use super::logs;
use super::memory::Memory;
use super::options::Options;
use crate::decoder::{Sink, Stats};
use crate::error::Damage;
use crate::log::{Format, Log};
use crate::scan::{self, How, Outcome, PART_BYTES, Pool, Read, Scan, Setup, Table as Many};
use crate::source::{Blocks, Buffer};
use crate::stream::{Measured, Streams, Tracker};
use crate::usage::{Coded, Columns, TOKENS};

/// Events between two looks at Python's signals.
pub(super) const EVENTS_AT_ONCE: usize = 1 << 16;

/// A file that weighs less is not worth a second thread.
const SMALL_FILE: u64 = 4 << 20;

/// The columns and counts of a source: a path (str), `bytes`, or an iterator of bytes-like objects. A file is read by
/// so many threads, if it is large. If asked for, `measure` adds how much text each stream has.
#[pyfunction]
#[pyo3(signature = (source, options, name=None, *, threads=1, measure=false))]
pub fn usage<'py>(
    source: &Bound<'py, PyAny>,
    options: Options,
    name: Option<Py<PyAny>>,
    threads: usize,
    measure: bool,
) -> PyResult<Table<'py>> {
    let (py, options) = (source.py(), options.named(name));
    let mut feed = Feed::new(source)?;
    let part_bytes = part_bytes();
    if let Feed::File(blocks, path) = feed {
        let weight = scan::weight(blocks.size, blocks.packed_bytes().is_some());
        let is_small = weight < part_bytes.map_or(SMALL_FILE, |_| 1);
        if threads < 2 || is_small {
            feed = Feed::File(blocks, path);
        } else if let Some(result) =
            by_threads(path.bind(py), blocks, &options, threads, part_bytes.unwrap_or(PART_BYTES), measure)?
        {
            return Ok(result);
        } else {
            feed = Feed::new(source)?;
        }
    }
    let mut decoder = Log::new(options.decoder, options.wanted.clone());
    if !matches!(feed, Feed::Iterator(_)) {
        decoder.be_whole();
    }
    let tracker = if measure {
        let mut measured = Measured::default();
        read(py, feed, &mut decoder, &mut measured)?;
        measured.into_tracker()
    } else {
        let mut tracker = Tracker::default();
        read(py, feed, &mut decoder, &mut tracker)?;
        tracker
    };
    let streams = py.detach(|| tracker.finish());
    result(py, streams, decoder.stats(), &options, measure)
}

/// The columns and counts of files, in their order, by so many threads: a list of what was found. A tuple of an int (the
/// number of the first file), a list of a thing for each file (how many rows it has, or the OSError that it is), its
/// columns, its counts one behind the other (u64), their sum as Stats, and a list of damages, each with its file's number;
/// or of the number alone for a file that they cannot read, such as one that has to be converted first. `progress` is called now and then with the bytes read.
#[pyfunction]
#[pyo3(signature = (paths, options, *, threads=1, measure=false, progress=None))]
pub fn usage_many<'py>(
    paths: &Bound<'py, PyList>,
    options: Options,
    threads: usize,
    measure: bool,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let py = paths.py();
    let part_bytes = part_bytes();
    let setup = Setup {
        options: options.decoder,
        wanted: options.wanted,
        threads: threads.max(1),
        part_bytes: part_bytes.unwrap_or(PART_BYTES),
        large: part_bytes.map_or(SMALL_FILE, |bytes| bytes as u64),
        measures: measure,
        most: options.max_decompressed_bytes,
    };
    let names = paths.extract::<Vec<PathBuf>>()?;
    let mut pool = py.detach(|| Pool::new(names, setup));
    let mut told = Instant::now();
    let mut look = |pool: &Pool| {
        if let Some(progress) = &progress
            && told.elapsed() >= EVERY
        {
            told = Instant::now();
            progress.call1((pool.read_bytes(),))?;
        }
        py.check_signals()
    };
    while py.detach(|| pool.work()) {
        look(&pool)?;
    }
    while !py.detach(|| pool.wait(PATIENCE)) {
        look(&pool)?;
    }
    let found = PyList::empty(py);
    for table in py.detach(|| pool.finish()) {
        found.append(of_table(paths, table, measure)?)?;
    }
    Ok(found)
}

fn of_table<'py>(paths: &Bound<'py, PyList>, table: Many, measure: bool) -> PyResult<Bound<'py, PyTuple>> {
    let py = paths.py();
    if let [Read::Elsewhere] = table.reads[..] {
        return (table.first,).into_pyobject(py);
    }
    let (reads, damages) = (PyList::empty(py), PyList::empty(py));
    let (mut counts, mut total) = (Vec::new(), Stats::default());
    for (number, read) in (table.first..).zip(&table.reads) {
        match read {
            Read::Rows(rows, stats) => {
                reads.append(rows)?;
                counts.extend(errors::counts(stats).map(|(_, count)| count));
                for damage in &stats.damages {
                    damages.append((number, errors::damage(py, damage, Some(&paths.get_item(number)?))?))?;
                }
                let without = Stats { damages: Vec::new(), ..Stats::clone(stats) };
                total.append(without, |place| place);
            }
            Read::Failed(error) => reads.append(os_error(error, paths.get_item(number)?.cast()?).into_value(py))?,
            Read::Elsewhere => {}
        }
    }
    let columns = to_dict(py, table.columns, measure)?;
    let total = errors::stats(py, &total, None)?;
    (table.first, reads, columns, array(py, &counts, u64::to_ne_bytes)?, total, damages).into_pyobject(py)
}

/// How long to wait for other threads between two looks at Python's signals, and how often progress is told.
const PATIENCE: Duration = Duration::from_millis(50);
const EVERY: Duration = Duration::from_millis(100);

/// Decodes all that the source has into the sink.
fn read(py: Python<'_>, mut feed: Feed, decoder: &mut Log, sink: &mut (impl Sink + Send)) -> PyResult<()> {
    loop {
        match feed.next(py)? {
            Next::Block(block) => {
                let (input, mut at) = (block.as_ref(), 0);
                while py.detach(|| decoder.decode(input, &mut at, EVENTS_AT_ONCE, sink)) {
                    py.check_signals()?;
                }
                logs::check(py, decoder)?;
                py.check_signals()?;
                if let Block::Owned(memory) = block {
                    feed.give_back(memory);
                }
            }
            Next::End => break,
            Next::Damaged(broken) => {
                if decoder.settle() {
                    py.detach(|| while decoder.decode(&[], &mut 0, usize::MAX, sink) {});
                }
                decoder.add_damage(&Damage::of_compression(decoder.stats().bytes, &broken));
                break;
            }
        }
    }
    py.detach(|| decoder.finish(sink));
    logs::check(py, decoder)
}

/// `CHUNKWIRE_TEST_SPLIT_BYTES` sets how many bytes a part has that a thread takes: for tests, whose logs are small.
fn part_bytes() -> Option<usize> {
    std::env::var("CHUNKWIRE_TEST_SPLIT_BYTES").ok()?.parse().ok()
}

/// Columns and counts.
pub(super) type Table<'py> = (Bound<'py, PyDict>, Bound<'py, PyAny>);

/// The same by several threads; None if the file cannot be split.
fn by_threads<'py>(
    path: &Bound<'py, PyString>,
    mut blocks: Box<Blocks>,
    options: &Options,
    threads: usize,
    part_bytes: usize,
    measures: bool,
) -> PyResult<Option<Table<'py>>> {
    let py = path.py();
    let failed = |error| os_error(&error, path);
    let request = &options.wanted.request;
    let mut head = Buffer::default();
    let layout = py.detach(|| scan::recognise(&mut blocks, request, &mut head)).map_err(failed)?;
    let is_events = layout.format == Format::Sse;
    // To decode events alone takes about as long as to unpack them: of two threads one does this, and one that, unless it
    // is light enough that each can do both with what it has in its own cache.
    let in_line = is_events && !measures && threads == 2 && !blocks.is_light();
    if in_line || !layout.is_split(&head) {
        return Ok(None);
    }
    let lines = (!is_events).then(|| (options.wanted.clone(), layout));
    let how = How { options: options.decoder, threads, part_bytes, measures, lines };
    let mut scan = Scan::new(blocks, head, how);
    while py.detach(|| scan.work()) {
        py.check_signals()?;
    }
    while !py.detach(|| scan.wait(PATIENCE)) {
        py.check_signals()?;
    }
    match py.detach(|| scan.finish()).map_err(failed)? {
        Outcome::NoParts => Ok(None),
        Outcome::Done(done) => result(py, done.0, done.1, options, measures).map(Some),
    }
}

/// Streams and counts as columns for Python.
pub(super) fn result<'py>(
    py: Python<'py>,
    streams: Streams,
    mut stats: Stats,
    options: &Options,
    measure: bool,
) -> PyResult<Table<'py>> {
    let columns = py.detach(|| Columns::new(streams, options.decoder.shapes, options.wanted.keep.len()));
    for damage in &columns.damages {
        stats.add(damage);
    }
    Ok((to_dict(py, columns, measure)?, errors::stats(py, &stats, options.name.as_ref())?))
}

fn to_dict(py: Python<'_>, columns: Columns, measure: bool) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (column, counts) in TOKENS.iter().zip(columns.tokens) {
        dict.set_item(column.name, Memory::of(counts))?;
    }
    dict.set_item("valid", Memory::of(columns.valid))?;
    dict.set_item("reported", PyBytes::new(py, &columns.reported))?;
    dict.set_item("cost", Memory::of(columns.cost))?;
    dict.set_item("time_to_first_token", Memory::of(columns.time_to_first_token))?;
    dict.set_item("generation_time", Memory::of(columns.generation_time))?;
    for (name, ends, pieces) in [("usage", "usage_end", columns.usage), ("id", "id_end", columns.id)] {
        dict.set_item(name, Memory::of(pieces.bytes))?;
        dict.set_item(ends, Memory::of(pieces.ends))?;
    }
    dict.set_item("measured", PyBytes::new(py, &columns.measured))?;
    let kept = columns.kept.into_iter().map(|pieces| (PyBytes::new(py, &pieces.bytes), Memory::of(pieces.ends)));
    dict.set_item("kept", PyList::new(py, kept.collect::<Vec<_>>())?)?;
    dict.set_item("created", Memory::of(columns.created))?;
    dict.set_item("chunks", Memory::of(columns.chunks))?;
    dict.set_item("offset", Memory::of(columns.offset))?;
    for (name, Coded { codes, categories }) in
        [("model", columns.model), ("finish_reason", columns.finish_reason), ("status", columns.status)]
    {
        dict.set_item(name, (Memory::of(codes), convert::texts(py, categories.iter())?))?;
    }
    if measure {
        dict.set_item("content_deltas", Memory::of(columns.content_deltas))?;
        dict.set_item("text_bytes", Memory::of(columns.text_bytes))?;
    }
    Ok(dict)
}
