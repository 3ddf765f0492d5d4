// Package bench holds the benchmarks behind docs/performance.md that measure the
// program as a whole: longshore runs as a child process and is driven through
// its public API. What one package can measure of itself is beside that
// package. Nothing here asserts a time: a benchmark fails only if something
// does not work.
package bench
