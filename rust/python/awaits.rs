//! What Python's `await` and `async for` do with an object, for objects of ours that wait for others: an awaitable in,
//! what it yields or comes to out.

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use super::counted::Counted;
use super::instance::type_slot;

/// What came of a step of an awaitable. (An error is boxed, since each event passes here and few are errors.)
pub enum Awaited<'py> {
    /// This is for the event loop; the awaitable goes on with what that sends.
    Yielded(Bound<'py, PyAny>),
    /// It is over, and came to this.
    Done(Bound<'py, PyAny>),
    /// It is over.
    Raised(Box<PyErr>),
}

/// Lets an awaitable's iterator go on with a value.
#[inline]
pub fn send<'py>(iterator: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Awaited<'py> {
    let py = iterator.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: both are live objects, and what `awaited` gives has `__next__`; the call sets a new reference, or an error
    // if it says so.
    unsafe {
        let sent = ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result);
        match sent {
            ffi::PySendResult::PYGEN_NEXT => Awaited::Yielded(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_RETURN => Awaited::Done(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_ERROR => fetched(py),
        }
    }
}

#[cold]
fn fetched(py: Python<'_>) -> Awaited<'_> {
    Awaited::Raised(Box::new(PyErr::fetch(py)))
}

/// Raises an exception where an awaitable's iterator stands.
pub fn throw<'py>(iterator: &Bound<'py, PyAny>, error: Box<PyErr>) -> Awaited<'py> {
    let py = iterator.py();
    let thrown = match iterator.getattr_opt(intern!(py, "throw")) {
        Ok(Some(throw)) => throw.call1((error.into_value(py),)),
        Ok(None) => return Awaited::Raised(error),
        Err(other) => Err(other),
    };
    match thrown {
        Ok(yielded) => Awaited::Yielded(yielded),
        Err(error) if !error.is_instance_of::<PyStopIteration>(py) => Awaited::Raised(Box::new(error)),
        Err(end) => end
            .value(py)
            .getattr(intern!(py, "value"))
            .map_or_else(|error| Awaited::Raised(Box::new(error)), Awaited::Done),
    }
}

/// The exception of the arguments of a `throw`. Raises TypeError if it is none.
pub fn thrown(
    typ: &Bound<'_, PyAny>,
    val: Option<&Bound<'_, PyAny>>,
    tb: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyBaseException>> {
    let is_class = typ.cast::<PyType>().is_ok_and(|class| class.is_subclass_of::<PyBaseException>().unwrap_or(false));
    let error = match val {
        _ if !is_class => typ.clone(),
        Some(val) if val.is_instance_of::<PyBaseException>() => val.clone(),
        Some(val) if !val.is_none() => typ.call1((val,))?,
        _ => typ.call0()?,
    };
    let Ok(error) = error.cast_into::<PyBaseException>() else {
        let found = typ.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "exceptions must be classes or instances deriving from BaseException, not {found}"
        )));
    };
    if let Some(tb) = tb.filter(|tb| !tb.is_none()) {
        error.setattr(intern!(typ.py(), "__traceback__"), tb)?;
    }
    Ok(error.unbind())
}

/// Ends an awaitable's iterator where it stands.
pub fn close(iterator: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = iterator.py();
    let close = iterator.getattr_opt(intern!(py, "close"))?;
    close.map_or(Ok(()), |close| close.call0().map(drop))
}

/// A function of a type's slot that takes the object.
fn unary(object: &Bound<'_, PyAny>, slot: std::ffi::c_int) -> Option<ffi::unaryfunc> {
    // SAFETY: what stands in the slots asked for (`am_await`, `am_anext`) is a function of this type.
    type_slot(&object.get_type(), slot)
        .map(|found| unsafe { std::mem::transmute::<*mut c_void, ffi::unaryfunc>(found.as_ptr()) })
}

/// The iterator of an awaitable.
#[inline]
fn awaited<'py>(object: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let Some(of) = unary(&object, ffi::Py_am_await) else { return generator(object) };
    // SAFETY: the object is live, and this is its type's function; it gives a new reference or sets an error.
    let iterator = unsafe { Bound::from_owned_ptr_or_err(object.py(), of(object.as_ptr())) }?;
    // SAFETY: the object is live.
    if unsafe { ffi::PyIter_Check(iterator.as_ptr()) } == 0 {
        let found = iterator.get_type().name()?;
        return Err(PyTypeError::new_err(format!("__await__() returned non-iterator of type '{found}'")));
    }
    Ok(iterator)
}

/// A generator that `types.coroutine` has made an awaitable; nothing else is one without a slot for it.
#[cold]
fn generator(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    const CO_ITERABLE_COROUTINE: u32 = 0x100;
    let py = object.py();
    let class = py.import(intern!(py, "types"))?.getattr(intern!(py, "GeneratorType"))?;
    if object.get_type().is(&class) {
        let code = object.getattr(intern!(py, "gi_code"))?;
        if code.getattr(intern!(py, "co_flags"))?.extract::<u32>()? & CO_ITERABLE_COROUTINE != 0 {
            return Ok(object);
        }
    }
    Err(PyTypeError::new_err(format!("expected an awaitable, got {}", object.get_type().name()?)))
}

/// An asynchronous iterator.
pub struct Items {
    object: Py<PyAny>,
    next: ffi::unaryfunc,
}

impl Items {
    /// Raises TypeError if it is none.
    pub fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Some(next) = unary(object, ffi::Py_am_anext) else {
            let found = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("expected an asynchronous iterator, got {found}")));
        };
        Ok(Self { object: object.clone().unbind(), next })
    }

    /// What it is.
    pub fn object(&self) -> &Py<PyAny> {
        &self.object
    }

    /// The iterator of the awaitable of what comes next.
    #[inline]
    pub fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the object is live, and this is the function of the type that it had; nobody can give it a type of
        // another layout. It gives a new reference or sets an error.
        awaited(unsafe { Bound::from_owned_ptr_or_err(py, (self.next)(self.object.as_ptr()))? })
    }

    /// The iterator of what a method gives, which is an awaitable.
    pub fn call<'py>(
        &self,
        name: &Bound<'py, PyString>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaited(self.object.bind(name.py()).call_method1(name, arguments)?)
    }
}

/// An asynchronous iterator of bytes, and who is told how many have come.
pub struct Reads {
    items: Items,
    counted: Option<Counted>,
}

impl Reads {
    /// Raises TypeError if the source is no asynchronous iterator.
    pub fn new(source: &Bound<'_, PyAny>, counted: Option<Counted>) -> PyResult<Box<Self>> {
        Ok(Box::new(Self { items: Items::new(source)?, counted }))
    }

    /// For Python's collector of cycles.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.items.object)?;
        self.counted.as_ref().map_or(Ok(()), |counted| counted.traverse(visit))
    }

    /// The iterator of the awaitable of the next bytes.
    #[inline]
    pub fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.items.next(py)
    }

    /// So many bytes have come.
    #[inline]
    pub fn count(&mut self, py: Python<'_>, bytes: usize) -> PyResult<()> {
        self.counted.as_mut().map_or(Ok(()), |counted| counted.add(py, bytes))
    }
}

/// What a type with a `send` of its own does: the object and what is sent to it in, what it came to out.
pub type Sending = for<'py> fn(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> Awaited<'py>;

/// A class below `base`, which is an iterator, whose instances are awaited without an exception for what they come to.
/// (pyo3 knows no `am_send`, by which Python asks for that.)
pub fn sending_class(base: &Bound<'_, PyType>, name: &'static CStr, send: SendSlot) -> PyResult<Py<PyType>> {
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_am_await, pfunc: itself as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_am_send, pfunc: send as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: std::ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: 0, // that of the base, as are the things that the collector of cycles asks for
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as std::ffi::c_uint,
        slots: slots.as_mut_ptr(),
    };
    let bases = PyTuple::new(base.py(), [base])?;
    // SAFETY: the name lives as long as the process, and the slots as long as the call; they hold functions of the types
    // that belong there. The call gives a new reference or sets an error.
    let made = unsafe {
        Bound::from_owned_ptr_or_err(base.py(), ffi::PyType_FromSpecWithBases(&raw mut spec, bases.as_ptr()))?
    };
    Ok(made.cast_into::<PyType>()?.unbind())
}

/// A function of the slot `am_send`.
pub type SendSlot =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> ffi::PySendResult;

/// What stands in `am_await` of an awaitable that is its own iterator.
unsafe extern "C" fn itself(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python calls this with a live object.
    unsafe { ffi::Py_NewRef(object) }
}

/// What stands in `am_send`.
///
/// # Safety
///
/// - Python calls it, with two live objects and a place for the result.
pub unsafe fn send_slot(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
    sending: Sending,
) -> ffi::PySendResult {
    Python::attach(|py| {
        // SAFETY: that of this function.
        let (object, value) = unsafe { (Bound::from_borrowed_ptr(py, object), Bound::from_borrowed_ptr(py, value)) };
        // A panic must not pass into C: pyo3 does the same for all functions that it makes.
        let sent = catch_unwind(AssertUnwindSafe(|| sending(&object, &value))).unwrap_or_else(|_| {
            Awaited::Raised(Box::new(PyRuntimeError::new_err("a bug in chunkwire: a step has panicked")))
        });
        let (found, sort) = match sent {
            Awaited::Yielded(found) => (found.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Awaited::Done(found) => (found.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Awaited::Raised(error) => {
                error.restore(py);
                (std::ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        // SAFETY: that of this function.
        unsafe { *result = found };
        sort
    })
}
