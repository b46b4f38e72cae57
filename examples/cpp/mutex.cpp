// A mutex over processes with the standard's guards, and what a reader does who prefers results to exceptions.
#include <redlock.hpp>

#include <iostream>
#include <mutex>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

void transfer(redlock::mutex &from, redlock::mutex &to) {
  std::scoped_lock guard(from, to); // in any order: std::scoped_lock avoids deadlocks
  std::cout << "both accounts are locked, with the fences " << (from.fence() > 0) << " and " << (to.fence() > 0)
            << '\n';
}

void look(redlock::factory &factory) {
  redlock::result<redlock::lock> mine = factory.try_acquire("account:1", 5s);
  if (mine) std::cout << "account:1 is ours\n";
  else if (mine.status() == redlock::status::contended) std::cout << "account:1 is taken\n";
  else std::cout << "nobody knows: " << mine.error().what() << '\n';
}

} // namespace

int main(int argc, char **argv) { // mutex [URL...]; without any: redis://127.0.0.1:6379/0
  redlock::factory factory(std::vector<std::string>(argv + 1, argv + argc));
  redlock::mutex first(factory, "account:1");
  redlock::mutex second(factory, "account:2");
  transfer(first, second);
  transfer(second, first);
  std::unique_lock<redlock::mutex> guard(first, 2s);
  if (!guard) return 1;
  look(factory);
  guard.unlock();
  look(factory);
}
