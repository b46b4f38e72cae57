// Measures redlock.hpp as a C++ program would use it: the scenario "pair", the same loop as in bench/ours/pair.c.
#define _Noreturn [[noreturn]]
extern "C" {
#include "../../common/bench.h"
}
#undef _Noreturn

#include <redlock.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr auto ttl = std::chrono::milliseconds(BENCH_TTL_MS);
constexpr auto wait = 5s;

struct caller {
  std::string resource;
  bench_samples samples = {};
  std::uint64_t failures = 0;
};

void say_why(const redlock::error &failure) {
  static std::atomic_flag said = ATOMIC_FLAG_INIT;
  if (!said.test_and_set()) std::fprintf(stderr, "first failure: %s\n", failure.what());
}

bool pair(redlock::factory &factory, const std::string &resource) {
  try {
    redlock::lock lock = factory.acquire(resource, ttl, wait);
    lock.release();
    return true;
  } catch (const redlock::error &failure) {
    say_why(failure);
    return false;
  }
}

void run(redlock::factory &factory, const bench_window &window, caller &mine) {
  std::uint64_t begun = bench_now_ns();
  while (begun < window.end) {
    const bool good = pair(factory, mine.resource);
    const std::uint64_t done = bench_now_ns();
    if (done >= window.start) {
      if (good) bench_samples_add(&mine.samples, done - begun);
      else mine.failures++;
    }
    begun = done;
  }
}

std::vector<caller> prepare(redlock::factory &factory, const bench_args &args) {
  std::vector<caller> callers(static_cast<std::size_t>(args.callers));
  for (std::size_t i = 0; i < callers.size(); i++) {
    callers[i].resource = std::string(args.prefix) + ":cpp:" + std::to_string(i);
    factory.acquire(callers[i].resource, ttl, wait).release();
  }
  return callers;
}

void measure(const bench_args &args) {
  redlock::factory factory(std::vector<std::string>(args.urls, args.urls + args.node_count));
  std::vector<caller> callers = prepare(factory, args);
  const bench_window window = bench_window_open(&args);
  std::vector<std::thread> threads;
  for (caller &each : callers) threads.emplace_back(run, std::ref(factory), std::cref(window), std::ref(each));
  bench_sleep_until(window.start);
  const double cpu = bench_cpu_us();
  const std::string extra = "\"threads\":" + std::to_string(bench_thread_count());
  for (std::thread &thread : threads) thread.join();
  bench_result result = {};
  result.cpu_us = bench_cpu_us() - cpu;
  result.seconds = static_cast<double>(bench_now_ns() - window.start) / 1e9;
  for (caller &each : callers) {
    bench_samples_merge(&result.samples, &each.samples);
    result.failures += each.failures;
  }
  bench_report(&result, extra.c_str());
}

} // namespace

int main(int argc, char **argv) {
  bench_args args;
  bench_args_parse(&args, argc, argv);
  if (std::string(args.scenario) != "pair") {
    std::fprintf(stderr, "scenarios: pair; not %s\n", args.scenario);
    return 2;
  }
  try {
    measure(args);
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
  return 0;
}
