//! Instances of a client's model classes, filled without running a line of theirs: a class in, a way to make instances
//! out.
//!
//! pydantic's models keep what they have in four slots of the instance: `__dict__` and three descriptors that the class
//! inherits. The plan (`chunkwire._plan`) has seen that a class has these, and that its own construction would do
//! nothing else.

use std::ffi::{c_int, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyType};

/// A class, and how its instances are filled.
pub struct Class {
    class: Py<PyType>,
    allocate: ffi::allocfunc,
    fields_set: Slot,
    /// Without one, what is extra stands in the dict under the name of the slot, which the class has hidden.
    extra: Option<Slot>,
    private: Slot,
}

/// A descriptor, and what sets it.
struct Slot {
    descriptor: Py<PyAny>,
    set: ffi::descrsetfunc,
}

/// What a type has in a slot of the C API; None for nothing.
pub fn type_slot(class: &Bound<'_, PyType>, slot: c_int) -> Option<std::ptr::NonNull<c_void>> {
    // SAFETY: the class is a live type, and the slots asked for (`tp_new`, `tp_alloc`, `tp_descr_set`) exist.
    std::ptr::NonNull::new(unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), slot) })
}

impl Slot {
    fn new(descriptor: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Some(set) = type_slot(&descriptor.get_type(), ffi::Py_tp_descr_set) else {
            return Err(PyTypeError::new_err("a slot of a model class cannot be set"));
        };
        // SAFETY: what stands in `tp_descr_set` is a function of this type.
        let set = unsafe { std::mem::transmute::<*mut c_void, ffi::descrsetfunc>(set.as_ptr()) };
        Ok(Self { descriptor: descriptor.clone().unbind(), set })
    }

    #[inline]
    fn set(&self, instance: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: all three are live objects; the function checks that the instance has the slot, and takes its own
        // reference to the value.
        let result = unsafe { (self.set)(self.descriptor.as_ptr(), instance.as_ptr(), value.as_ptr()) };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(instance.py())) }
    }
}

impl Class {
    /// `slots` are the class's descriptors `__pydantic_fields_set__`, `__pydantic_extra__` (None if the class hides it)
    /// and `__pydantic_private__`.
    pub fn new(class: &Bound<'_, PyType>, slots: &[Bound<'_, PyAny>; 3]) -> PyResult<Self> {
        let object = class.py().get_type::<PyAny>();
        // Only what `object.__new__` would make may be made without it.
        let same_new = type_slot(class, ffi::Py_tp_new) == type_slot(&object, ffi::Py_tp_new);
        let Some(allocate) = type_slot(class, ffi::Py_tp_alloc).filter(|_| same_new) else {
            return Err(PyTypeError::new_err("a model class with a __new__ of its own"));
        };
        // SAFETY: what stands in `tp_alloc` is a function of this type.
        let allocate = unsafe { std::mem::transmute::<*mut c_void, ffi::allocfunc>(allocate.as_ptr()) };
        let [fields_set, extra, private] = slots;
        Ok(Self {
            class: class.clone().unbind(),
            allocate,
            fields_set: Slot::new(fields_set)?,
            extra: if extra.is_none() { None } else { Some(Slot::new(extra)?) },
            private: Slot::new(private)?,
        })
    }

    /// A new instance that has these; without `extra`, one of a class that keeps none.
    #[inline]
    pub fn instance<'py>(
        &self,
        dict: &Bound<'py, PyDict>,
        fields_set: &Bound<'py, PySet>,
        extra: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = dict.py();
        let none = py.None().into_bound(py);
        let extra = extra.map_or(&none, |extra| extra.as_any());
        if self.extra.is_none() {
            dict.set_item(pyo3::intern!(py, "__pydantic_extra__"), extra)?;
        }
        // SAFETY: the class has `object`'s `tp_new`, which does no more than allocate; the call gives a new reference or
        // sets an error.
        let instance = unsafe {
            let instance = (self.allocate)(self.class.as_ptr().cast(), 0);
            Bound::from_owned_ptr_or_err(py, instance)?
        };
        // SAFETY: both are live objects, and an instance of a Python class has a dict to set.
        let result = unsafe { ffi::PyObject_GenericSetDict(instance.as_ptr(), dict.as_ptr(), std::ptr::null_mut()) };
        if result != 0 {
            return Err(PyErr::fetch(py));
        }
        self.fields_set.set(&instance, fields_set)?;
        if let Some(slot) = &self.extra {
            slot.set(&instance, extra)?;
        }
        self.private.set(&instance, &none)?;
        Ok(instance)
    }
}

/// A copy of a set.
#[inline]
pub fn copied<'py>(set: &Bound<'py, PySet>) -> PyResult<Bound<'py, PySet>> {
    // SAFETY: the set is a live iterable, and the call gives a new reference to a set or sets an error.
    unsafe { Ok(Bound::from_owned_ptr_or_err(set.py(), ffi::PySet_New(set.as_ptr()))?.cast_into_unchecked()) }
}
