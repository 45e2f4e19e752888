//! Token usage of what its caller feeds: pieces of bytes in, the columns of all streams so far out, whenever asked for.

use pyo3::prelude::*;

use super::block::Block;
use super::errors::borrow;
use super::logs;
use super::options::Options;
use super::usage::{EVENTS_AT_ONCE, Table, result};
use crate::log::Log;
use crate::stream::Tracker;

/// Reads usage; see `chunkwire.UsageReader`, which makes tables of what it gives.
#[pyclass(module = "chunkwire._native")]
pub struct UsageReader {
    options: Options,
    log: Log,
    tracker: Tracker,
}

#[pymethods]
impl UsageReader {
    #[new]
    #[pyo3(signature = (options, name=None))]
    fn new(options: Options, name: Option<Py<PyAny>>) -> Self {
        let options = options.named(name);
        let log = Log::new(options.decoder, options.wanted.clone());
        Self { options, log, tracker: Tracker::default() }
    }

    /// Takes bytes.
    fn feed(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = Block::from_python(data)?;
        let py = slf.py();
        let mut reader = borrow(slf)?;
        let Self { log, tracker, .. } = &mut *reader;
        let (input, mut at) = (block.as_ref(), 0);
        let mut signal = Ok(());
        while py.detach(|| log.decode(input, &mut at, EVENTS_AT_ONCE, tracker)) {
            // Whoever catches the interruption can go on: all of the bytes are taken.
            signal = signal.and_then(|()| py.check_signals());
        }
        logs::check(py, log)?;
        signal
    }

    /// Takes what the log begins with, where that is not to be decoded: it is recognised by it.
    fn look(slf: &Bound<'_, Self>, head: &[u8]) -> PyResult<()> {
        borrow(slf)?.log.look(head);
        Ok(())
    }

    /// The source ends; what is fed behind it is another one, whose offsets begin anew. Streams may go on in it.
    /// `goes_on`: so do its format, and exchanges that were read in pieces.
    #[pyo3(signature = (*, goes_on=false))]
    fn end(slf: &Bound<'_, Self>, goes_on: bool) -> PyResult<()> {
        let mut reader = borrow(slf)?;
        let Self { log, tracker, .. } = &mut *reader;
        if goes_on {
            log.turn(tracker);
        } else {
            log.finish(tracker);
        }
        logs::check(slf.py(), log)?;
        if !goes_on {
            log.restart(tracker);
        }
        Ok(())
    }

    /// How the log is read, as `recognise` says it; None before that is known, and where nobody had to recognise it.
    #[getter]
    fn layout(slf: &Bound<'_, Self>) -> PyResult<Option<logs::Recognised>> {
        Ok(logs::layout(&borrow(slf)?.log))
    }

    /// The columns and counts of what was read so far, as if it were all.
    fn columns<'py>(slf: &Bound<'py, Self>) -> PyResult<Table<'py>> {
        let py = slf.py();
        let reader = borrow(slf)?;
        let (log, mut tracker) = (&reader.log, reader.tracker.clone());
        let (streams, stats) = py.detach(|| {
            let stats = log.peek(&mut tracker).unwrap_or_else(|| log.stats());
            (tracker.finish(), stats)
        });
        result(py, streams, stats, &reader.options, false)
    }

    /// How many streams have not ended yet.
    fn unfinished(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let reader = borrow(slf)?;
        if !reader.log.is_waiting() {
            return Ok(reader.tracker.unfinished());
        }
        let mut tracker = reader.tracker.clone();
        reader.log.peek(&mut tracker);
        Ok(tracker.unfinished())
    }
}
