package program

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
)

// Logs say how the process logs. Logs go to standard error.
type Logs struct{ level, format string }

// Add registers the flags.
func (f *Logs) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.format, "log-format", "text", "text or json")
}

// Logger fails, by the name of the flag, for a level or format that there is not.
func (f *Logs) Logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", f.format)
}
