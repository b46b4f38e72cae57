// A thousand locks at once from one thread, by futures.
#include <redlock.hpp>

#include <iostream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

int main(int argc, char **argv) { // futures [URL...]; without any: redis://127.0.0.1:6379/0
  redlock::factory factory(std::vector<std::string>(argv + 1, argv + argc));
  std::vector<redlock::pending<redlock::lock>> acquiring;
  for (int i = 0; i < 1000; i++) acquiring.push_back(factory.acquire_async("invoice:" + std::to_string(i), 10s, 5s));

  std::vector<redlock::pending<void>> releasing;
  for (redlock::pending<redlock::lock> &future : acquiring) releasing.push_back(future.get().release_async());
  for (redlock::pending<void> &future : releasing) future.get();
  std::cout << "took and gave back " << releasing.size() << " locks\n";
}
