//! A library that catches a panic of its own, as libredlock does.

/// Gives 17 when the panic was caught and what was on the stack has been dropped.
#[unsafe(no_mangle)]
pub extern "C" fn redlock_panics() -> i32 {
    struct Count<'a>(&'a std::cell::Cell<i32>);
    impl Drop for Count<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 7);
        }
    }
    let count = std::cell::Cell::new(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _count = Count(&count);
        panic!("on purpose");
    }));
    count.get() + if caught.is_err() { 10 } else { 0 }
}
