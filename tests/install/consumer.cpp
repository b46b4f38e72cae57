// A C++ program that uses an installed libredlock: takes and gives back a lock on REDLOCK_TEST_URLS.
#include <redlock.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

template <typename Handle> using Owned = std::unique_ptr<Handle, void (*)(Handle *)>;

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

void require(redlock_status status, redlock_status expected, redlock_error *raw) {
  Owned<redlock_error> error(raw, redlock_error_free);
  if (status == expected) {
    return;
  }
  std::string message = std::string(redlock_status_name(status)) + " instead of " + redlock_status_name(expected);
  throw std::runtime_error(error ? message + ": " + redlock_error_message(error.get()) : message);
}

Owned<redlock_factory> make_factory(const std::vector<std::string> &urls) {
  std::vector<const char *> pointers;
  for (const std::string &url : urls) {
    pointers.push_back(url.c_str());
  }
  redlock_factory *factory = nullptr;
  redlock_error *error = nullptr;
  redlock_status status = redlock_factory_new(pointers.data(), pointers.size(), nullptr, &factory, &error);
  require(status, REDLOCK_OK, error);
  return {factory, redlock_factory_free};
}

Owned<redlock_lock> acquire(redlock_factory *factory, redlock_status expected) {
  redlock_lock *lock = nullptr;
  redlock_error *error = nullptr;
  redlock_status status = redlock_acquire(factory, "install-cpp", 10000, 0, &lock, &error);
  require(status, expected, error);
  return {lock, redlock_lock_free};
}

} // namespace

int main() {
  try {
    Owned<redlock_factory> factory = make_factory(urls_of_the_test());
    Owned<redlock_lock> lock = acquire(factory.get(), REDLOCK_OK);
    acquire(factory.get(), REDLOCK_ERR_CONTENDED);
    redlock_error *error = nullptr;
    redlock_status status = redlock_release(lock.get(), &error);
    require(status, REDLOCK_OK, error);
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
  std::cout << "C++, libredlock " << redlock_version() << ": took and gave back a lock\n";
  return 0;
}
