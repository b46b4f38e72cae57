/* What a run cost this process, and the JSON object that says it. */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double microseconds(struct timeval t) { return (double)t.tv_sec * 1e6 + (double)t.tv_usec; }

double bench_cpu_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

long bench_max_rss_kb(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

long bench_rss_kb(void) {
  long total = 0, resident = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  if (statm == NULL || fscanf(statm, "%ld %ld", &total, &resident) != 2) bench_die("/proc/self/statm");
  fclose(statm);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

long bench_thread_count(void) {
  long count = 0;
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) bench_die("/proc/self/task");
  for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

void bench_report(struct bench_result *result, const char *extra) {
  struct bench_samples *samples = &result->samples;
  double pairs = samples->count > 0 ? (double)samples->count : 1.0;
  bench_samples_sort(samples);
  printf("{\"pairs\":%zu,\"failures\":%llu,\"seconds\":%.6f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
         "\"cpu_us_per_pair\":%.2f,\"max_rss_kb\":%ld%s%s}\n",
         samples->count, (unsigned long long)result->failures, result->seconds, bench_samples_percentile(samples, 0.50),
         bench_samples_percentile(samples, 0.90), bench_samples_percentile(samples, 0.99), result->cpu_us / pairs,
         bench_max_rss_kb(), extra ? "," : "", extra ? extra : "");
  fflush(stdout);
}
