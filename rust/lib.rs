//! chunkwire's core: decodes chat-completion event streams, without Python and without I/O of its own.
//!
//! The way of a byte, and the room in which each step happens; a room uses only rooms before it:
//!
//! ```text
//! source      event        chunk              decoder          record            stream, usage
//! (bytes)  -> (server- ->  (JSON structure -> (chunks, DONE -> (batches that  |  (one row per stream,
//!              sent         and spans)         errors, damage)  outlive the      columns of token
//!              events)                                          input)           counts)
//! ```
//!
//! `log` stands before all of it where streams are held in something else: it recognises how a log holds them, and
//! unwraps them from lines of JSON. `live` decodes what is plain for clients that have a parser of their own; `reported` reads what servers say of cost
//! and times, and `written` measures what models wrote, for `stream` and `usage`; `scan` takes a file that whole way with
//! several threads, or many; `numbers` says of each chunk of a batch which stream it belongs to, and `columns` makes columns of
//! records; `message` folds streams into whole messages. Words: an *event* is what a blank line ends; a *chunk* is an
//! event's data that is a `chat.completion.chunk`; a *stream* is all chunks of one response; a *record* is where a
//! chunk's parts stand in a *batch*; *damage* is what is wrong in a source, with its place. `error` holds the vocabulary
//! of damage; `python` binds it all to Python.
//!
//! ```
//! use chunkwire::decoder::{Decoder, Options};
//! use chunkwire::record::{Builder, Item};
//!
//! let source = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n";
//! let (mut decoder, mut batch) = (Decoder::new(Options::default()), Builder::default());
//! let mut at = 0;
//! while decoder.decode(source, &mut at, 1000, &mut batch) {}
//! decoder.finish(&mut batch);
//! let batch = batch.build(&source[..]);
//! let Item::Chunk(record) = &batch.items()[0] else { panic!("no chunk") };
//! assert_eq!(batch.doc(record).content().unwrap().text(), b"Hi");
//! ```

pub mod chunk;
pub mod columns;
pub mod decoder;
pub mod error;
pub mod event;
pub mod live;
pub mod log;
pub mod message;
pub mod numbers;
pub mod record;
pub mod reported;
pub mod scan;
pub mod source;
pub mod stream;
pub mod usage;
pub mod written;

#[cfg(feature = "python")]
mod python;
