//! Logs of JSON that libFuzzer makes: orders for `tests/rust/wrapped.rs` in, a crash at the first difference that
//! `tests/rust/unwrapped.rs` sees between two ways to read a log, or between a log and what was put into it.
//!
//! It is run as is said in `paths.rs`, with `logs` for `paths` and `logs_generated` for `shapes_generated`.

#![no_main]

#[path = "../../rust/generated.rs"]
mod generated;
#[path = "../../rust/unwrapped.rs"]
mod unwrapped;
#[path = "../../rust/wrapped.rs"]
mod wrapped;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use wrapped::Case;

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
    unwrapped::check(&case);
});
