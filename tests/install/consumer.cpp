// A C++ program that uses an installed libredlock: takes and gives back a lock on REDLOCK_TEST_URLS.
#include <redlock.hpp>

#include <cstdlib>
#include <future>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

std::vector<std::string> urls_of_the_test() {
  const char *list = std::getenv("REDLOCK_TEST_URLS");
  if (list == nullptr) {
    throw std::runtime_error("REDLOCK_TEST_URLS is not set");
  }
  std::vector<std::string> urls;
  std::stringstream stream(list);
  for (std::string url; std::getline(stream, url, ',');) {
    urls.push_back(url);
  }
  return urls;
}

void require(bool holds, const char *what) {
  if (!holds) {
    throw std::runtime_error(std::string("not so: ") + what);
  }
}

} // namespace

int main() {
  try {
    redlock::factory factory(urls_of_the_test());
    redlock::lock lock = factory.acquire("install-cpp", 10s);
    require(factory.try_acquire("install-cpp", 10s).status() == redlock::status::contended, "a second one is refused");
    // By the thread that a program needs for futures, too.
    lock.release_async().get();
    redlock::mutex mutex(factory, "install-cpp");
    std::lock_guard<redlock::mutex> guard(mutex);
    require(factory.is_locked("install-cpp"), "the mutex is locked");
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
  std::cout << "C++, libredlock " << redlock::library_version() << ": took and gave back a lock\n";
  return 0;
}
