//! The module `chunkwire._native`: the core's results as Python objects. Conversion only, no decoding.
//!
//! `block` and `pipeline` bring bytes from Python to the decoder and hold its batches; `views` are the lazy objects
//! over them, `spares` those of them that serve again, `tokens` texts that do, both behind a `lock`; `lent` is what
//! live streams use in turn; `options` says how to read, and `logs` how a source holds streams; `iterators` are what
//! users iterate, `batches`, `usage` and `reader` give columns, `arrow` hands columns to other libraries, `completions`
//! gives whole messages; `live` decodes for clients that have a parser of their own, whose objects `models` makes as
//! `instance`s of their classes, each like the last one `kept`, and `clients` gives events as instances of `bare`
//! classes; `relay` gives both to asynchronous loops (of which `loops` has one), by what `awaits` knows, and who is to
//! know how much has come is told by `counted`; `convert` and `errors` turn values and damage into Python's own.

mod arrow;
mod awaits;
mod bare;
mod batches;
mod block;
mod clients;
mod completions;
mod convert;
mod counted;
mod errors;
mod events;
mod instance;
mod iterators;
mod kept;
mod lent;
mod live;
mod lock;
mod logs;
mod loops;
mod memory;
mod models;
mod options;
mod pipeline;
mod plan;
mod reader;
mod relay;
mod spares;
mod tokens;
mod usage;
mod views;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Classes and functions that were looked up once are kept for the whole process, and an interpreter apart has others.
/// (Python refuses that itself from 3.12 on.)
fn refuse_subinterpreters() -> PyResult<()> {
    // SAFETY: a module is made by a thread that is attached to an interpreter, which is live meanwhile.
    match unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) } {
        0 => Ok(()),
        _ => Err(PyImportError::new_err("module chunkwire._native does not support loading in subinterpreters")),
    }
}

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::arrow::{export_array, export_reader, export_schema, export_stream};
    #[pymodule_export]
    use super::batches::{Batches, batches};
    #[pymodule_export]
    use super::clients::ClientEvents;
    #[pymodule_export]
    use super::completions::{Completions, completions};
    #[pymodule_export]
    use super::events::{Event, Events};
    #[pymodule_export]
    use super::iterators::{Blocks, Chunks, Contents, Decoder, Drain, blocks, chunks, contents, events};
    #[pymodule_export]
    use super::live::{Relay, Session};
    #[pymodule_export]
    use super::logs::{NeedsConversion, recognise};
    #[pymodule_export]
    use super::loops::AsyncLoop;
    #[pymodule_export]
    use super::memory::Memory;
    #[pymodule_export]
    use super::plan::Models;
    #[pymodule_export]
    use super::reader::UsageReader;
    #[pymodule_export]
    use super::relay::AsyncRelay;
    #[pymodule_export]
    use super::usage::{usage, usage_many};
    #[pymodule_export]
    use super::views::{
        Choice, Chunk, CompletionTokensDetails, Delta, FunctionCall, Logprobs, PromptTokensDetails, TokenLogprob,
        ToolCall, Usage, restore,
    };

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::refuse_subinterpreters()
    }
}
