//! Shapes and the careful parser on sources that libFuzzer makes: orders for `tests/rust/generated.rs` in, a crash at
//! the first difference that `tests/rust/paths.rs` sees.
//!
//! With `cargo install cargo-fuzz` and a nightly toolchain, from the repository's root, seeds once and then an hour:
//!
//! ```sh
//! mkdir -p tests/fuzz/corpus/paths && CHUNKWIRE_SEEDS=$PWD/tests/fuzz/corpus/paths \
//!     cargo test --test shapes_generated write_seeds -- --ignored
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz paths -- -max_total_time=3600 -max_len=2000 -timeout=20
//! ```
//!
//! `-s none` makes it twice as fast, without AddressSanitizer. A crash is left in `tests/fuzz/artifacts/paths`;
//! `cargo +nightly fuzz fmt --fuzz-dir tests/fuzz paths FILE` shows the source that it orders, `fuzz tmin` shortens it.

#![no_main]

#[path = "../../rust/beside.rs"]
mod beside;
#[path = "../../rust/generated.rs"]
mod generated;
#[path = "../../rust/paths.rs"]
mod paths;

use generated::Case;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let count = bytes.len();
        bytes.bytes(count).map(Self::new)
    }

    fn arbitrary_take_rest(bytes: Unstructured<'a>) -> Result<Self> {
        Ok(Self::new(bytes.take_rest()))
    }
}

fuzz_target!(|case: Case| {
    paths::check(&case);
});
