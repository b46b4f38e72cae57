// The shortest useful program: takes a lock for the length of a scope, and stops working when it is lost.
#include <redlock.hpp>

#include <iostream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

int main(int argc, char **argv) { // guard [URL...]; without any: redis://127.0.0.1:6379/0
  try {
    redlock::factory factory(std::vector<std::string>(argv + 1, argv + argc));
    redlock::lock lock = factory.acquire("invoice:17", 10s, 2s);
    lock.keep_alive([](const redlock::error &why) { std::cerr << "stop! " << why.what() << '\n'; });
    std::cout << "invoice:17 is ours for " << lock.validity() / 1s << " s\n";
  } catch (const redlock::error &failure) { // here the lock was given back
    std::cerr << failure.what() << '\n';
    for (const redlock::node_report &node : failure.nodes()) {
      std::cerr << "  " << node.address << ": " << redlock::name(node.status) << '\n';
    }
    return 1;
  }
  std::cout << "released\n";
}
