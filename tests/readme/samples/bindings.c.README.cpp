// The samples of bindings/c/README.md, each in its place.
#include <redlock.hpp>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;

static void forms(redlock::factory &factory) {
  // @sample forms
}

int main() {
  std::vector<std::string> urls;
  std::stringstream list(std::getenv("REDLOCK_TEST_URLS"));
  for (std::string url; std::getline(list, url, ',');) urls.push_back(url);
  redlock::factory factory(urls);
  forms(factory);
}
