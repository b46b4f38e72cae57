/// @file redlock.hpp
/// @brief Distributed locks over independent Redis masters (Redlock): C++17 over redlock.h, headers only.
///
///     redlock::factory factory({"redis://a:6379", "redis://b:6379", "redis://c:6379"});
///     {
///       redlock::lock lock = factory.acquire("invoice:17", 10s);
///       // ... lock.validity() in which nobody else holds "invoice:17" ...
///     } // given back here
///
/// ERRORS, as exceptions or as results. Each function that can fail has two names: `acquire()` throws redlock::error,
/// and `try_acquire()` returns a redlock::result, which holds either the value or that error. Nothing else is thrown
/// but std::bad_alloc. Without exceptions (-fno-exceptions) use the `try_` functions; the others end the program on
/// failure.
///
/// OBJECTS. Factories, locks, options and queues can be moved and not copied. They can be destroyed in any order: a
/// lock outlives its factory, a mutex that uses a closed factory fails with status::closed. What was moved away answers
/// with status::invalid_argument.
///
/// THREADS. Any number of threads may call functions of the same object at once; only moving, assigning and destroying
/// an object is for one thread alone, as it is with the standard library's.
///
/// BACKGROUND. A factory that is asked for futures, or whose locks notify of their loss, starts one thread, which takes
/// the outcomes from the library, and runs the functions given to keep_alive(). It takes no signals, and ends with the
/// factory and its locks.
#ifndef REDLOCK_HPP
#define REDLOCK_HPP

#include "redlock/duration.hpp"
#include "redlock/error.hpp"
#include "redlock/factory.hpp"
#include "redlock/holder.hpp"
#include "redlock/lock.hpp"
#include "redlock/log.hpp"
#include "redlock/loss.hpp"
#include "redlock/mutex.hpp"
#include "redlock/options.hpp"
#include "redlock/pending.hpp"
#include "redlock/queue.hpp"
#include "redlock/recursive_mutex.hpp"
#include "redlock/result.hpp"
#include "redlock/status.hpp"
#include "redlock/text.hpp"
#include "redlock/version.hpp"

#endif
