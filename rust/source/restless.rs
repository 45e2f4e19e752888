//! How a thread waits for another that has soon done its part of the same work.

use std::thread;
use std::time::{Duration, Instant};

/// So long a thread looks again and again for what another has for it, and lets whoever else is there go first, before
/// it sleeps. The other has to wake one that sleeps, and where both take about as long as each other that happens at each
/// piece of work and costs a tenth of the time that it takes to unpack one.
const RESTLESS: Duration = Duration::from_micros(100);

/// Makes attempts for as long as a thread is restless; None if none succeeded.
pub(crate) fn restless<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + RESTLESS;
    loop {
        let done = attempt();
        if done.is_some() || Instant::now() > until {
            return done;
        }
        thread::yield_now();
    }
}
