// A party of the tests across languages, in C++: takes a lock and gives it back as standard input says.
#include <redlock.hpp>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::vector<std::string> split(const std::string &list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

/// The settings are arguments: NAME=VALUE...
redlock::options options_of(const std::vector<std::string> &arguments) {
  redlock::options options;
  for (const std::string &argument : arguments) {
    std::size_t end = argument.find('=');
    options.set(argument.substr(0, end), argument.substr(end + 1));
  }
  return options;
}

class worker {
public:
  worker(const std::vector<std::string> &urls, const redlock::options &options) : factory_(urls, options) {}

  /// try RESOURCE TTL | wait RESOURCE TTL | release; gives the answer.
  std::string obey(const std::string &line) {
    std::istringstream words(line);
    std::string word, resource;
    std::int64_t ttl = 0;
    words >> word >> resource >> ttl;
    try {
      if (word == "try") return acquire(resource, ttl, redlock::no_wait);
      if (word == "wait") return acquire(resource, ttl, redlock::forever);
      if (word == "release") return release();
      throw std::invalid_argument("what is " + line);
    } catch (const redlock::error &failure) {
      return failure.status() == redlock::status::contended ? "contended" : std::string("error ") + failure.what();
    }
  }

private:
  std::string acquire(const std::string &resource, std::int64_t ttl, redlock::duration wait) {
    lock_ = factory_.acquire(resource, std::chrono::milliseconds(ttl), wait);
    return "ok " + std::to_string(lock_->fence());
  }

  std::string release() {
    redlock::lock ending = std::move(lock_.value());
    lock_.reset();
    ending.release();
    return "ok";
  }

  redlock::factory factory_;
  std::optional<redlock::lock> lock_;
};

} // namespace

int main(int argc, char **argv) {
  const char *urls = std::getenv("REDLOCK_TEST_URLS");
  if (urls == nullptr) return 2;
  worker party(split(urls), options_of({argv + 1, argv + argc}));
  for (std::string line; std::getline(std::cin, line);) std::cout << party.obey(line) << std::endl;
}
