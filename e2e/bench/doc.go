// Package bench measures the real binary against the plain use of what it is built on, side by side in one run: 'make bench'.
// Each benchmark reports medians; at the end come one table and one line of JSON with everything.
package bench
