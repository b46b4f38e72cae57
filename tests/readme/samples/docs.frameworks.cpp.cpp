// The recipes of docs/frameworks/cpp.md, each in its place, and what they promise.
#include <redlock.hpp>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

// @sample service

int main() {
  std::vector<std::string> urls;
  std::stringstream list(std::getenv("REDLOCK_TEST_URLS"));
  for (std::string url; std::getline(list, url, ',');) urls.push_back(url);
  redlock::factory factory(urls);
  std::signal(SIGTERM, [](int) { stopping = true; });
  int pieces = 0;
  serve(factory, [&](std::uint64_t fence) {
    if (fence == 0 || factory.try_acquire("reports", 1s).status() != redlock::status::contended) std::abort();
    if (++pieces == 3) std::raise(SIGTERM);
  });
  // The next host has it at once.
  if (pieces != 3 || !factory.try_acquire("reports", 1s)) return 1;
}
