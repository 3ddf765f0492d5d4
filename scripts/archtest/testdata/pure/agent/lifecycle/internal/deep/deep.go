// Package deep is part of a pure package.
package deep

import "os"

var _ = os.Args
