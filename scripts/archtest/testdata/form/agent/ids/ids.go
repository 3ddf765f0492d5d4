// Package common is not what its directory says.
package common
