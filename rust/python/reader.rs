//! Token usage of what its caller feeds: pieces of bytes in, the columns of all streams so far out, whenever asked for.

use pyo3::prelude::*;

use super::block::Block;
use super::errors::borrow;
use super::pipeline::Settings;
use super::usage::{EVENTS_AT_ONCE, Table, result};
use crate::decoder::{Decoder, Stats};
use crate::stream::Tracker;

/// Reads usage; see `chunkwire.UsageReader`, which makes tables of what it gives.
#[pyclass(module = "chunkwire._native")]
pub struct UsageReader {
    settings: Settings,
    decoder: Decoder,
    tracker: Tracker,
    /// Of the sources that have ended.
    before: Stats,
}

impl UsageReader {
    /// All counts.
    fn counts(&self) -> Stats {
        let mut stats = self.before.clone();
        stats.append(self.decoder.stats(), |place| place);
        stats
    }
}

#[pymethods]
impl UsageReader {
    #[new]
    #[pyo3(signature = (*, strict=false, max_event_bytes=67_108_864, name=None))]
    fn new(py: Python<'_>, strict: bool, max_event_bytes: usize, name: Option<Py<PyAny>>) -> PyResult<Self> {
        let settings = Settings::new(py, "skip", strict, max_event_bytes, name)?;
        let decoder = Decoder::new(settings.options);
        Ok(Self { settings, decoder, tracker: Tracker::default(), before: Stats::default() })
    }

    /// Takes bytes.
    fn feed(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = Block::from_python(data)?;
        let py = slf.py();
        let mut reader = borrow(slf)?;
        let Self { decoder, tracker, .. } = &mut *reader;
        let (input, mut at) = (block.as_ref(), 0);
        let mut signal = Ok(());
        while py.detach(|| decoder.decode(input, &mut at, EVENTS_AT_ONCE, tracker)) {
            // Whoever catches the interruption can go on: all of the bytes are taken.
            signal = signal.and_then(|()| py.check_signals());
        }
        signal
    }

    /// The source ends; what is fed behind it is another one, whose offsets begin anew. Streams may go on in it.
    fn end(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut reader = borrow(slf)?;
        let Self { settings, decoder, tracker, before } = &mut *reader;
        decoder.finish(tracker);
        let mut next = Decoder::new(settings.options);
        next.set_shapes(decoder.take_shapes());
        before.append(std::mem::replace(decoder, next).stats(), |place| place);
        Ok(())
    }

    /// The columns and counts of what was read so far, as if it were all.
    fn columns<'py>(slf: &Bound<'py, Self>) -> PyResult<Table<'py>> {
        let py = slf.py();
        let reader = borrow(slf)?;
        let tracker = reader.tracker.clone();
        let streams = py.detach(|| tracker.finish());
        result(py, streams, reader.counts(), &reader.settings, false)
    }

    /// How many streams have not ended yet.
    fn unfinished(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(borrow(slf)?.tracker.unfinished())
    }
}
