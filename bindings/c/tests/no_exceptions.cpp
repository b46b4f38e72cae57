// The functions that return results, in a program without exceptions and without type information.
#include "test.hpp"

#if defined(__cpp_exceptions) || defined(__GXX_RTTI)
#error "compile this with -fno-exceptions -fno-rtti"
#endif

namespace {

using namespace test;

void results_tell_it_all() {
  redlock::options settings = redlock::options::try_make().value();
  REFUSED(settings.try_set("nonsense", "1"), status::invalid_argument, "nonsense");
  CHECK(settings.try_set("node_timeout_ms", "20000").has_value());
  REFUSED(redlock::factory::try_make({"nonsense"}), status::invalid_argument, "it has no scheme");
  redlock::factory factory = redlock::factory::try_make(urls(), settings).value();
  redlock::lock lock = factory.try_acquire("a", long_ttl, patience).value();
  REFUSED(factory.try_acquire("a", long_ttl), status::contended, "a");
  CHECK(*factory.try_is_locked("a"));
  CHECK(lock.try_extend(long_ttl).has_value());
  CHECK(lock.try_keep_alive([](const redlock::error &) {}).has_value());
  CHECK(lock.try_release().has_value());
  REFUSED(lock.try_release(), status::released, "a");
}

void futures_of_results_do_too() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = got<redlock::result<redlock::lock>>(factory.try_acquire_async("a", long_ttl, patience)).value();
  REFUSED(got<redlock::result<redlock::lock>>(factory.try_acquire_async("a", long_ttl)), status::contended, "a");
  CHECK(got<redlock::result<void>>(lock.try_release_async()).has_value());
}

} // namespace

int main() { return test::run({TEST(results_tell_it_all), TEST(futures_of_results_do_too)}); }
