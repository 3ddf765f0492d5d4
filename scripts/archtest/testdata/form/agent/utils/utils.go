// Package utils has this and that.
package utils
