<?php
// Takes a lock, shows that nobody else gets it, and gives it back. Needs the extension FFI, which php-cli has on Debian.
//
//   php lock.php [URL...]     without any: redis://127.0.0.1:6379/0

// The header without a preprocessor's language, which PHP's FFI does not know.
$header = trim(shell_exec('pkg-config --variable=includedir redlock')) . '/redlock.ffi.h';
$redlock = FFI::cdef(file_get_contents($header), 'libredlock.so.0');

/** Calls a function that may fail, with a place for its error; the status, unless it is one that the caller does not expect. */
function call(string $name, array $arguments, array $expected): int
{
    global $redlock;
    $err = $redlock->new('redlock_error *');
    $status = $redlock->$name(...$arguments, ...[FFI::addr($err)]);
    try {
        if (!in_array($status, $expected, true)) {
            throw new RuntimeException($redlock->redlock_error_message($err));
        }
    } finally {
        $redlock->redlock_error_free($err);
    }
    return $status;
}

$count = $argc - 1;
$urls = $redlock->new('const char *[' . max($count, 1) . ']');
$texts = [];
foreach (array_slice($argv, 1) as $i => $url) {
    $text = $texts[] = $redlock->new('char[' . (strlen($url) + 1) . ']');
    FFI::memcpy($text, $url . "\0", strlen($url) + 1);
    $urls[$i] = $redlock->cast('char *', FFI::addr($text));
}
[$factory, $lock, $other] = [$redlock->new('redlock_factory *'), $redlock->new('redlock_lock *'), $redlock->new('redlock_lock *')];
$ok = [$redlock->REDLOCK_OK];
call('redlock_factory_new', [$urls, $count, null, FFI::addr($factory)], $ok);
call('redlock_acquire', [$factory, 'invoice:17', 10000, 2000, FFI::addr($lock)], $ok);
try {
    echo 'invoice:17 is ours for ', intdiv($redlock->redlock_lock_validity_ms($lock), 1000), " s\n";
    $taken = call('redlock_acquire', [$factory, 'invoice:17', 10000, 0, FFI::addr($other)], [$redlock->REDLOCK_ERR_CONTENDED]);
    echo "another one gets status $taken\n";
} finally {
    call('redlock_release', [$lock], $ok);
    $redlock->redlock_lock_free($lock);
    $redlock->redlock_factory_free($factory);
}
echo "released\n";
