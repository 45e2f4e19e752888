//! Instances of a client's own plain classes, filled without running a line of theirs: a class in, a way to make instances
//! out.

use std::ffi::c_void;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use super::instance::type_slot;

/// A class whose instances are made by `object.__new__`, and filled one attribute after the other.
pub struct Bare {
    class: Py<PyType>,
    new: ffi::newfunc,
    nothing: Py<PyTuple>,
}

impl Bare {
    /// Only a class without a `__new__` of its own.
    pub fn new(class: &Bound<'_, PyType>) -> PyResult<Self> {
        // Only what `object.__new__` would make may be made without the class's own.
        let of_object = type_slot(&class.py().get_type::<PyAny>(), ffi::Py_tp_new);
        let Some(new) = type_slot(class, ffi::Py_tp_new).filter(|new| Some(*new) == of_object) else {
            return Err(PyTypeError::new_err("a class with a __new__ of its own"));
        };
        // SAFETY: what stands in `tp_new` is a function of this type.
        let new = unsafe { std::mem::transmute::<*mut c_void, ffi::newfunc>(new.as_ptr()) };
        Ok(Self { class: class.clone().unbind(), new, nothing: PyTuple::empty(class.py()).unbind() })
    }

    /// A new instance, of which nothing is set. (What is only allocated would lack room for its attributes, and would
    /// have to make a dict for them.)
    #[inline]
    pub fn instance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: this is `object.__new__`, which is given a class and no arguments; the call gives a new reference or
        // sets an error.
        unsafe {
            let made = (self.new)(self.class.as_ptr().cast(), self.nothing.as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, made)
        }
    }
}

/// Sets an attribute as `object.__setattr__` does.
#[inline]
pub fn set(instance: &Bound<'_, PyAny>, name: &Py<PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: all three are live objects, and the call takes its own references.
    let result = unsafe { ffi::PyObject_GenericSetAttr(instance.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(PyErr::fetch(instance.py())) }
}
