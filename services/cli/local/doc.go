// Package local runs trials on this machine as a worker would: with the rows that the platform has, in its own runner, and without
// telling anybody. Segments that were fetched once are kept in a cache by their digest.
package local
