//! What asynchronous generators give, and in the place of sessions what these give: a loop over it costs no step of a
//! generator for each item, and waits for nothing while there is something to give.

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyNone, PyType};

use super::awaits::{self, Awaited, Items};
use super::clients::ClientEvents;
use super::errors::borrow;
use super::live::Session;
use super::lock::{self, AttachedLock};
use super::loops::AsyncLoop;
use super::spares::owners;

/// What gives items for as long as it has bytes, and knows where more come from.
enum Given {
    Session(Py<Session>),
    Events(Py<ClientEvents>),
}

impl Given {
    /// Anything else comes back.
    #[inline]
    fn of(step: Bound<'_, PyAny>) -> Result<Self, Bound<'_, PyAny>> {
        let step = match step.cast_into_exact::<ClientEvents>() {
            Ok(events) => return Ok(Self::Events(events.unbind())),
            Err(other) => other.into_inner(),
        };
        match step.cast_into_exact::<Session>() {
            Ok(session) => Ok(Self::Session(session.unbind())),
            Err(other) => Err(other.into_inner()),
        }
    }

    /// The next item of the bytes that are there.
    #[inline]
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Session(session) => borrow(session.bind(py))?.next(py),
            Self::Events(events) => events.get().response(py)?.next(py),
        }
    }

    /// The iterator of the awaitable of more bytes; None if no more are needed, or none will come.
    #[inline]
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Session(session) => borrow(session.bind(py))?.read(py),
            Self::Events(events) => events.get().response(py)?.read(py),
        }
    }

    /// Takes bytes.
    #[inline]
    fn push(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Session(session) => borrow(session.bind(py))?.push_read(data),
            Self::Events(events) => events.get().response(py)?.push_read(data),
        }
    }

    /// Takes the error with which the bytes ended, which may be no more than that. What is not for it comes back.
    fn end(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        match self {
            Self::Session(session) => borrow(session.bind(py))?.end_reads(py, error),
            Self::Events(events) => events.get().response(py)?.end_reads(py, error),
        }
    }
}

/// What is awaited, as its iterator.
enum Waiting {
    /// More bytes.
    Read(Py<PyAny>),
    /// The generator.
    Steps(Py<PyAny>),
}

/// What an asynchronous generator gives; where that gives a [`Session`] or [`ClientEvents`], what these give until they
/// end: they are read here meanwhile, and the generator stands still. What is raised, by reads too, is raised where the
/// generator stands. Who drops this drops the generator, which the event loop then closes as it does all others.
#[pyclass(module = "chunkwire._native", frozen, weakref)]
pub struct AsyncRelay {
    steps: Items,
    run: AttachedLock<Run>,
}

/// How far it is.
#[derive(Default)]
struct Run {
    given: Option<Given>,
    waiting: Option<Waiting>,
    has_begun: bool,
    is_running: bool,
    is_over: bool,
    /// The last step. If nobody else holds it, it serves again.
    spare: Option<Py<AsyncStep>>,
}

#[pymethods]
impl AsyncRelay {
    #[new]
    fn new(steps: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { steps: Items::new(steps)?, run: AttachedLock::default() })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.steps.object())?;
        let Some(run) = self.run.visited() else { return Ok(()) };
        match &run.given {
            Some(Given::Session(session)) => visit.call(session)?,
            Some(Given::Events(events)) => visit.call(events)?,
            None => {}
        }
        if let Some(Waiting::Read(iterator) | Waiting::Steps(iterator)) = &run.waiting {
            visit.call(iterator)?;
        }
        visit.call(&run.spare)
    }

    fn __clear__(&self, py: Python<'_>) {
        let Some(mut run) = self.run.take(py) else { return };
        let gone = (run.given.take(), run.waiting.take(), run.spare.take());
        drop(run); // what goes may look at this
        drop(gone);
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[inline]
    pub fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, AsyncStep>> {
        let py = slf.py();
        let spare = slf.get().run.take(py).and_then(|mut run| run.spare.take());
        if let Some(spare) = spare
            && owners(&spare) == 1
        {
            let spare = spare.into_bound(py);
            if let Some(mut step) = spare.get().0.take(py) {
                (step.relay, step.state) = (Some(slf.clone().unbind()), State::New(To::Go));
            }
            return Ok(spare);
        }
        AsyncStep::make(py, Some(slf), To::Go)
    }

    /// The same as `__anext__`: what is sent goes nowhere.
    #[pyo3(signature = (value, /))]
    fn asend<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, AsyncStep>> {
        AsyncStep::make(slf.py(), Some(slf), if value.is_none() { To::Go } else { To::Send })
    }

    /// Raises an exception where the generator stands.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn athrow<'py>(
        slf: &Bound<'py, Self>,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, AsyncStep>> {
        match awaits::thrown(typ, val, tb) {
            Ok(error) => AsyncStep::make(slf.py(), Some(slf), To::Throw(error)),
            Err(wrong) => AsyncStep::make(slf.py(), None, To::Throw(wrong.into_value(slf.py()))),
        }
    }

    /// Ends the generator where it stands.
    fn aclose<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, AsyncStep>> {
        AsyncStep::make(slf.py(), Some(slf), To::Close)
    }

    /// A loop over what comes. Who leaves it, or closes it, leaves this as it is, and may begin another.
    fn r#loop(slf: Py<Self>) -> AsyncLoop {
        AsyncLoop::new(slf)
    }
}

impl AsyncRelay {
    /// Lets a step begin, also one into which something is thrown at once.
    #[inline]
    fn begin(&self, py: Python<'_>, run: &mut Run, to: To, is_thrown: bool) -> PyResult<()> {
        if run.is_running {
            return Err(PyRuntimeError::new_err(format!("{}(): asynchronous generator is already running", to.name())));
        }
        match to {
            // As into a step of the generator: if that is over, it comes back.
            To::Go | To::Send if is_thrown => {
                run.given = None;
                run.waiting = Some(Waiting::Steps(self.steps.next(py)?.unbind()));
            }
            To::Go if !run.is_over => {}
            To::Send if !run.has_begun => {
                return Err(PyTypeError::new_err("can't send non-None value to a just-started async generator"));
            }
            To::Go | To::Send if run.is_over => return Err(PyStopAsyncIteration::new_err(())),
            To::Go | To::Send => {}
            To::Throw(error) => self.raise(py, run, error)?,
            To::Close => {
                (run.given, run.is_over) = (None, true);
                run.waiting = Some(Waiting::Steps(self.steps.call(intern!(py, "aclose"), ())?.unbind()));
            }
        }
        (run.has_begun, run.is_running) = (true, true);
        Ok(())
    }

    /// The next item, if it is there; else there is something to wait for.
    #[inline]
    fn next<'py>(&self, py: Python<'py>, run: &mut Run) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(given) = &run.given {
            let found = match given.next(py) {
                Ok(Some(item)) => return Ok(Some(item)),
                Ok(None) => match given.read(py) {
                    Ok(Some(iterator)) => {
                        run.waiting = Some(Waiting::Read(iterator.unbind()));
                        return Ok(None);
                    }
                    Ok(None) => {
                        run.given = None;
                        Ok(())
                    }
                    Err(error) => given.end(py, error),
                },
                Err(error) => Err(error),
            };
            return found.or_else(|error| self.raise(py, run, error.into_value(py))).map(|()| None);
        }
        run.waiting = Some(Waiting::Steps(self.steps.next(py)?.unbind()));
        Ok(None)
    }

    /// Raises an exception where the generator stands.
    #[cold]
    fn raise(&self, py: Python<'_>, run: &mut Run, error: Py<PyBaseException>) -> PyResult<()> {
        run.given = None;
        run.waiting = Some(Waiting::Steps(self.steps.call(intern!(py, "athrow"), (error,))?.unbind()));
        Ok(())
    }

    /// Goes on with what was sent, or with an error to be raised, until there is an item or something to wait for. A
    /// step begins in it if it is given `to`. Nobody has a hold on the run while others are at work.
    #[inline]
    fn go<'py>(&self, sent: &Bound<'py, PyAny>, mut thrown: Option<Box<PyErr>>, to: Option<To>) -> Awaited<'py> {
        let py = sent.py();
        let Some(mut run) = self.run.take(py) else { return in_use() };
        if let Some(to) = to
            && let Err(error) = self.begin(py, &mut run, to, thrown.is_some())
        {
            return Awaited::Raised(Box::new(error));
        }
        let mut sent = Some(sent);
        let error = loop {
            let waiting = match run.waiting.take() {
                Some(waiting) => waiting,
                None => match self.next(py, &mut run) {
                    Ok(Some(item)) => {
                        run.is_running = false;
                        return Awaited::Done(item);
                    }
                    Ok(None) => continue,
                    Err(error) => break Box::new(error),
                },
            };
            drop(run);
            let (Waiting::Read(iterator) | Waiting::Steps(iterator)) = &waiting;
            let came = match (thrown.take(), sent.take()) {
                (Some(error), _) => awaits::throw(iterator.bind(py), error),
                (None, Some(sent)) => awaits::send(iterator.bind(py), sent),
                (None, None) => awaits::send(iterator.bind(py), PyNone::get(py).as_any()),
            };
            match self.run.take(py) {
                Some(again) => run = again,
                None => return in_use(),
            }
            match (waiting, came) {
                (waiting, Awaited::Yielded(yielded)) => {
                    run.waiting = Some(waiting);
                    return Awaited::Yielded(yielded);
                }
                (Waiting::Read(_), came) => {
                    let taken = match (&run.given, came) {
                        (Some(given), Awaited::Done(data)) => given.push(py, &data),
                        (Some(given), Awaited::Raised(error)) => given.end(py, *error),
                        _ => Ok(()),
                    };
                    if let Err(error) = taken
                        && let Err(error) = self.raise(py, &mut run, error.into_value(py))
                    {
                        break Box::new(error);
                    }
                }
                (Waiting::Steps(_), Awaited::Done(step)) => match Given::of(step) {
                    Ok(given) => run.given = Some(given),
                    Err(item) => {
                        run.is_running = false;
                        return Awaited::Done(item);
                    }
                },
                (Waiting::Steps(_), Awaited::Raised(error)) => break error,
            }
        };
        (run.is_running, run.is_over, run.given) = (false, true, None);
        Awaited::Raised(error)
    }
}

#[cold]
fn in_use<'py>() -> Awaited<'py> {
    Awaited::Raised(Box::new(lock::in_use()))
}

/// What a step is for.
pub enum To {
    /// The next item.
    Go,
    /// The same, for who sent something.
    Send,
    /// An exception, raised where the generator stands.
    Throw(Py<PyBaseException>),
    /// The end of the generator where it stands.
    Close,
}

impl To {
    fn name(&self) -> &'static str {
        match self {
            Self::Go | Self::Send => "anext",
            Self::Throw(_) => "athrow",
            Self::Close => "aclose",
        }
    }
}

enum State {
    New(To),
    Begun,
    Over,
}

/// The awaitable of a step of an [`AsyncRelay`], which is its own iterator. Without a relay, that of nothing.
#[pyclass(module = "chunkwire._native", frozen, subclass)]
pub struct AsyncStep(AttachedLock<Step>);

struct Step {
    relay: Option<Py<AsyncRelay>>,
    state: State,
}

#[pymethods]
impl AsyncStep {
    #[new]
    fn new() -> Self {
        Self(AttachedLock::new(Step { relay: None, state: State::New(To::Close) }))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(step) = self.0.visited() else { return Ok(()) };
        if let State::New(To::Throw(error)) = &step.state {
            visit.call(error)?;
        }
        visit.call(&step.relay)
    }

    fn __clear__(&self, py: Python<'_>) {
        let Some(mut step) = self.0.take(py) else { return };
        let gone = (std::mem::replace(&mut step.state, State::Over), step.relay.take());
        drop(step); // what goes may look at this
        drop(gone);
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        as_iterator(Self::go(slf, PyNone::get(slf.py()).as_any(), None))
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        as_iterator(Self::go(slf, value, None))
    }

    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let error = Box::new(PyErr::from_value(awaits::thrown(typ, val, tb)?.into_bound(slf.py()).into_any()));
        as_iterator(Self::go(slf, PyNone::get(slf.py()).as_any(), Some(error)))
    }

    /// Ends what is awaited where it stands. The generator is closed by who closes or drops the relay.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let (state, relay) = {
            let mut step = self.0.borrow(py)?;
            (std::mem::replace(&mut step.state, State::Over), step.relay.take())
        };
        let (State::Begun, Some(relay)) = (state, relay) else { return Ok(()) };
        let waiting = {
            let mut run = relay.get().run.borrow(py)?;
            run.is_running = false;
            run.waiting.take()
        };
        match waiting {
            Some(Waiting::Read(iterator) | Waiting::Steps(iterator)) => awaits::close(iterator.bind(py)),
            None => Ok(()),
        }
    }
}

impl AsyncStep {
    /// A step of a relay, or one that comes to what it is for at once.
    pub fn make<'py>(py: Python<'py>, relay: Option<&Bound<'py, AsyncRelay>>, to: To) -> PyResult<Bound<'py, Self>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.get_or_try_init(py, || {
            awaits::sending_class(&py.get_type::<Self>(), c"chunkwire._native.AsyncRelayStep", send_slot)
        })?;
        let made = class.bind(py).call0()?.cast_into::<Self>()?;
        let relay = relay.map(|relay| relay.clone().unbind());
        *made.get().0.borrow(py)? = Step { relay, state: State::New(to) };
        Ok(made)
    }

    /// Goes on, with what was sent or with an error to be raised.
    #[inline]
    fn go<'py>(slf: &Bound<'py, Self>, sent: &Bound<'py, PyAny>, error: Option<Box<PyErr>>) -> Awaited<'py> {
        let py = slf.py();
        let Some(mut step) = slf.get().0.take(py) else { return in_use() };
        let to = match std::mem::replace(&mut step.state, State::Begun) {
            State::New(to) => Some(to),
            State::Begun => None,
            State::Over => {
                step.state = State::Over;
                let message = "cannot reuse already awaited __anext__()/asend()/athrow()/aclose()";
                return Awaited::Raised(Box::new(PyRuntimeError::new_err(message)));
            }
        };
        let Some(relay) = &step.relay else {
            step.state = State::Over;
            return match (error, to) {
                (Some(error), _) => Awaited::Raised(error),
                (None, Some(To::Throw(error))) => {
                    Awaited::Raised(Box::new(PyErr::from_value(error.into_bound(py).into_any())))
                }
                _ => Awaited::Done(PyNone::get(py).to_owned().into_any()),
            };
        };
        let came = relay.get().go(sent, error, to);
        if !matches!(came, Awaited::Yielded(_)) {
            step.state = State::Over;
            // It may serve again.
            if let Some(relay) = step.relay.take()
                && let Some(mut run) = relay.get().run.take(py)
            {
                run.spare = Some(slf.clone().unbind());
            }
        }
        came
    }
}

/// What stands in `am_send` of the class of steps.
unsafe extern "C" fn send_slot(
    step: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: Python calls this, with what `awaits::send_slot` asks for; what has this slot is a step.
    unsafe {
        awaits::send_slot(step, value, result, |step, value| {
            AsyncStep::go(step.cast_unchecked::<AsyncStep>(), value, None)
        })
    }
}

/// What an iterator's `send` does with that.
fn as_iterator(came: Awaited<'_>) -> PyResult<Bound<'_, PyAny>> {
    match came {
        Awaited::Yielded(yielded) => Ok(yielded),
        Awaited::Done(value) => Err(PyStopIteration::new_err((value.unbind(),))),
        Awaited::Raised(error) => Err(*error),
    }
}
