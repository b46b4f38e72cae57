//! From opaque pointers to objects and back.

use std::sync::Arc;

use super::arguments::null;
use super::atfork;
use super::registry::{Ends, Registry, Table};
use super::thread;
use crate::{Error, Result, Status};

/// An object that C holds by an opaque pointer.
pub(super) trait Handle: Ends + Sized {
    /// The type that the pointer has in C.
    type Opaque;
    /// What it is called in errors.
    const NAME: &'static str;
    /// The table of all of its kind.
    fn registry() -> &'static Registry<Self>;
}

/// Makes an object known to C.
pub(super) fn publish<T: Handle>(object: T) -> Result<*mut T::Opaque> {
    atfork::prepare_for_forks()?;
    T::registry().publish();
    match T::registry().insert(object) {
        Some(handle) => {
            thread::made(handle);
            Ok(handle as *mut T::Opaque)
        }
        None => Err(Error::new(
            Status::System,
            format!("too many {} handles are in use", T::NAME),
        )),
    }
}

/// The object that C means. It lives as long as the caller needs it, even when another thread frees the handle meanwhile.
pub(super) fn find<T: Handle>(pointer: *const T::Opaque, parameter: &str) -> Result<Arc<T>> {
    if pointer.is_null() {
        return Err(null(parameter));
    }
    T::registry()
        .get(pointer as usize)
        .ok_or_else(|| unknown::<T>(pointer as usize, parameter))
}

/// Takes the object from C: the handle is invalid from now on. `None` for NULL and for whatever is no live handle.
pub(super) fn take<T: Handle>(pointer: *mut T::Opaque) -> Option<Arc<T>> {
    T::registry().remove(pointer as usize)
}

/// Takes the object from C, and ends it. NULL, and what is no live handle, is ignored.
pub(super) fn free<T: Handle>(pointer: *mut T::Opaque) {
    T::registry().end(pointer as usize);
}

fn unknown<T: Handle>(handle: usize, parameter: &str) -> Error {
    let name = T::NAME;
    Error::invalid(if T::registry().is_of_this_kind(handle) {
        format!("{parameter}: the {name} handle was freed or never existed")
    } else {
        format!("{parameter}: this is no {name} handle")
    })
}

/// Declares the object behind an opaque type of C: its table and its name in errors.
macro_rules! handle {
    ($object:ty, $opaque:ty, $kind:literal, $name:literal) => {
        impl $crate::ffi::handle::Handle for $object {
            type Opaque = $opaque;
            const NAME: &'static str = $name;
            fn registry() -> &'static $crate::ffi::registry::Registry<Self> {
                static REGISTRY: $crate::ffi::registry::Registry<$object> =
                    $crate::ffi::registry::Registry::new($kind);
                &REGISTRY
            }
        }
    };
}
pub(super) use handle;
