package main

import (
	"bytes"
	"io"
)

const indent = "      " // as wide as "[1/6] "

// indenter writes what it is given below a line that is still open, each line
// indented. finish puts the cursor where the open line can be ended: behind it
// if nothing was written, else at the indent of a line of its own.
type indenter struct {
	out     io.Writer
	written bool
	midLine bool
}

func (w *indenter) Write(text []byte) (int, error) {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		switch {
		case w.midLine:
		case !w.written:
			b.WriteString("\n" + indent)
		default:
			b.WriteString(indent)
		}
		b.Write(line)
		w.written = true
		w.midLine = !bytes.HasSuffix(line, []byte("\n"))
	}
	if _, err := w.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}

func (w *indenter) finish() error {
	end := ""
	if w.midLine {
		end = "\n"
	}
	if w.written {
		end += indent + "…"
	}
	_, err := io.WriteString(w.out, end)
	return err
}
