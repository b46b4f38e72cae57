// A header that is newer than the library: made by CMake of the real one, with the numbers of a version to come.
#include <redlock.hpp>

#include <cstdio>
#include <cstring>

namespace {

bool complains(const redlock::error &failure) {
  std::printf("%s\n", failure.what());
  return failure.status() == redlock::status::system && std::strstr(failure.what(), REDLOCK_VERSION) != nullptr &&
         std::strstr(failure.what(), redlock::library_version()) != nullptr;
}

template <typename Make> bool is_refused(Make make) {
  try {
    make();
  } catch (const redlock::error &failure) {
    return complains(failure);
  }
  return false;
}

} // namespace

int main() {
  const bool all = is_refused([] { redlock::factory({"redis://127.0.0.1:1"}); }) &&
                   is_refused([] { redlock::queue(); }) && is_refused([] { redlock::options(); }) &&
                   is_refused(redlock::check_version);
  return all && std::strcmp(redlock::library_version(), REDLOCK_VERSION) != 0 ? 0 : 1;
}
