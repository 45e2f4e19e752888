//! Each step of the core's way alone: `cargo bench --bench steps`, to see which of them a change made faster or slower.
//!
//! The logs are those of `corpora.rs`, 4 MiB of each in warm memory. Every step begins from the bytes, so that what it
//! adds is the difference to the step before: line ends counted by memchr, events found, chunks read by the careful
//! parser alone, or with shapes, and then given to who keeps records, columns, or rows of usage. For figures against
//! other parsers see `careful.rs` and `shapes.rs`, which take turns; divan runs one after the other.

mod corpora;

use std::sync::LazyLock;

use chunkwire::columns::ChunkColumns;
use chunkwire::decoder::{Decoder, Options};
use chunkwire::event::Framer;
use chunkwire::numbers::Mark;
use chunkwire::record::{Builder, Item};
use chunkwire::stream::Tracker;
use corpora::Corpus;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

const SIZE: usize = 4 << 20;
const BATCH_EVENTS: usize = 128;
const NAMES: [&str; 4] = ["OpenAI-like", "padded", "choices first", "short"];

static LOGS: LazyLock<[Corpus; 4]> = LazyLock::new(|| {
    let sources = [
        corpora::openai(100..400, false),
        corpora::openai(100..400, true),
        corpora::choices_first(100..400),
        corpora::openai(2..9, false),
    ];
    let mut names = NAMES.into_iter();
    sources.map(|source| Corpus::of(names.next().expect("as many names"), SIZE, source))
});

fn main() {
    divan::main();
}

fn run<T>(bencher: Bencher<'_, '_>, name: &str, step: impl Fn(&[u8]) -> T + Sync) {
    let log = LOGS.iter().find(|log| log.name == name).expect("a log of that name");
    bencher
        .counter(BytesCount::of_slice(&log.bytes))
        .counter(ItemsCount::new(log.counts.chunks))
        .bench(|| step(black_box(&log.bytes)));
}

/// Decodes everything into batches, and hands each to `see`.
fn batches<'a>(bytes: &'a [u8], shapes: bool, mut see: impl FnMut(&chunkwire::record::Batch<&'a [u8]>)) {
    let mut decoder = Decoder::new(Options { shapes, ..Options::default() });
    let (mut builder, mut at, mut more) = (Builder::default(), 0, true);
    while more {
        more = decoder.decode(bytes, &mut at, BATCH_EVENTS, &mut builder);
        let batch = builder.build(bytes);
        see(&batch);
        builder = batch.recycle();
    }
}

fn count_records(bytes: &[u8], shapes: bool) -> usize {
    let mut records = 0;
    batches(bytes, shapes, |batch| records += batch.items().len());
    records
}

#[divan::bench(args = NAMES)]
fn a_line_ends(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| memchr::memchr_iter(b'\n', bytes).count());
}

#[divan::bench(args = NAMES)]
fn b_events(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| {
        let (mut framer, mut at, mut events) = (Framer::new(SIZE), 0, 0);
        while framer.next(bytes, &mut at).is_some() {
            events += 1;
        }
        events
    });
}

#[divan::bench(args = NAMES)]
fn c_careful_records(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| count_records(bytes, false));
}

#[divan::bench(args = NAMES)]
fn d_records(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| count_records(bytes, true));
}

#[divan::bench(args = NAMES)]
fn e_columns(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| {
        let mut columns = ChunkColumns::default();
        batches(bytes, true, |batch| {
            for item in batch.items() {
                if let Item::Chunk(record) = item {
                    columns.push(batch.doc(record), record.offset, Mark::NONE);
                }
            }
        });
        columns.rows()
    });
}

#[divan::bench(args = NAMES)]
fn f_usage(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |bytes| {
        let mut tracker = Tracker::default();
        let (mut decoder, mut at) = (Decoder::new(Options::default()), 0);
        while decoder.decode(bytes, &mut at, usize::MAX, &mut tracker) {}
        decoder.finish(&mut tracker);
        tracker.finish().rows.len()
    });
}
