package placement

import (
	"os"
	"time"

	"pgregory.net/rapid"
)

var _, _, _ = os.Args, time.Now, rapid.Check
