//! What a decoder holds between two pieces of a live stream: next to nothing, for shapes are lent. Counted by the
//! allocator, so that it cannot be another number the next time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use chunkwire::chunk::shape::Shapes;
use chunkwire::decoder::{Decoder, Options};
use chunkwire::live::Live;
use chunkwire::live::framing::Framing;
use chunkwire::record::Builder;

/// Counts bytes that are allocated.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's, with the arguments that it was asked with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps what the allocator asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory was allocated above, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STREAMS: usize = 1000;
/// Of the 2 KiB that a decoder may hold, Python's objects need a part.
const MOST: usize = 1024;

/// A stream's events, `[DONE]` at the end.
fn events(stream: usize) -> Vec<String> {
    let chunk = |number: usize, delta: &str, more: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-{stream}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":null}}],\"number\":{number}{more}}}\n\n",
            1_700_000_000 + stream
        )
    };
    let mut events = vec![chunk(0, "\"role\":\"assistant\"", "")];
    events.extend((1..40).map(|number| chunk(number, &format!("\"content\":\"word {number}\""), "")));
    events.push(chunk(40, "", ",\"usage\":{\"prompt_tokens\":1}"));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// Bytes that each of many decoders holds, made by `make`: when it is new, half way, in the middle of an event, and when
/// its stream has ended. `decode` gives a piece to a decoder.
fn held<D>(make: impl Fn() -> D, mut decode: impl FnMut(&mut D, &[u8])) -> [usize; 4] {
    let streams: Vec<Vec<String>> = (0..STREAMS).map(events).collect();
    let mut decoders: Vec<D> = Vec::with_capacity(STREAMS);
    let before = HELD.load(Relaxed) - STREAMS * size_of::<D>();
    let each = || (HELD.load(Relaxed) - before) / STREAMS;
    decoders.extend((0..STREAMS).map(|_| make()));
    let new = each();
    let mut feed = |numbers: std::ops::Range<usize>, from: usize, to: Option<usize>| {
        for number in numbers {
            for (decoder, stream) in decoders.iter_mut().zip(&streams) {
                let event = stream[number].as_bytes();
                decode(decoder, &event[from..to.unwrap_or(event.len())]);
            }
        }
        each()
    };
    let half = feed(0..20, 0, None);
    let cut = feed(20..21, 0, Some(100));
    feed(20..21, 100, None);
    [new, half, cut, feed(21..42, 0, None)]
}

/// One test, for the allocator counts all threads.
#[test]
fn decoders_between_two_pieces_hold_little() {
    let mut shapes: Option<Box<Shapes>> = None;
    let options = Options::default();
    let decoders = held(
        || Decoder::new(options),
        |decoder, piece| {
            let (mut at, mut builder) = (0, Builder::default());
            decoder.lend(shapes.take());
            while decoder.decode(piece, &mut at, 10, &mut builder) {}
            shapes = decoder.take_back();
            decoder.rest();
        },
    );
    let shared = shapes.take().expect("something was learned").memory();
    let lives = held(
        || (Live::new(4300, false, true, Framing::Lines), Vec::new()),
        |(live, pending), piece| {
            pending.extend_from_slice(piece);
            let (mut at, mut builder) = (0, Builder::default());
            live.lend(shapes.take());
            live.decode(pending, &mut at, 10, &mut builder);
            shapes = live.take_back();
            pending.drain(..at);
            pending.shrink_to_fit();
        },
    );
    for [new, half, cut, end] in [decoders, lives] {
        assert!(new <= MOST && half <= MOST && end <= MOST, "{decoders:?} {lives:?}");
        assert!(cut <= MOST + 200, "half an event is kept: {decoders:?} {lives:?}");
        // (What all share is among them, and grows a little.)
        assert!(end <= half + 16, "nothing grows: {decoders:?} {lives:?}");
    }
    assert!((1000..100_000).contains(&shared), "all of them share {shared} bytes of shapes");
}
