// Package pauseimage makes the image of pause containers, which hold the namespaces
// of a task: a program that does nothing, put together here from its machine
// code, so that no registry has to be asked and no compiler has to be there. It
// talks to no engine.
package pauseimage

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Ref is the reference of the image. Its tag is the version of the program.
const Ref = "longshore/pause:1"

const program = "pause"

// EntryPoint is what containers of the image run.
func EntryPoint() []string { return []string{"/" + program} }

// Layer is the image's file system, a tar archive with the program alone.
// Architectures have Go's names.
func Layer(architecture string) ([]byte, error) {
	binary, err := executable(architecture)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: program, Mode: 0o755, Size: int64(len(binary)), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("pack the pause program: %w", err)
	}
	if _, err := w.Write(binary); err != nil {
		return nil, fmt.Errorf("pack the pause program: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the pause program: %w", err)
	}
	return archive.Bytes(), nil
}

// machine is a kind of processor: its number in an ELF header, and the program.
//
// The program ignores SIGCHLD, upon which the kernel itself clears away children
// that end: with pidMode task it is the first process, which inherits them. Then
// it sleeps for ever. It answers no signal; as the first process of its namespace
// it is ended by SIGKILL from outside, which is how the agent stops it.
type machine struct {
	number uint16
	code   []byte
}

// A sigaction with the handler SIG_IGN and nothing else, behind the code.
var ignore = [32]byte{1}

func machineOf(architecture string) (machine, bool) {
	switch architecture {
	case "amd64":
		return machine{62, []byte{
			0xb8, 13, 0, 0, 0, // mov eax, SYS_rt_sigaction
			0xbf, 17, 0, 0, 0, // mov edi, SIGCHLD
			0x48, 0x8d, 0x35, 19, 0, 0, 0, // lea rsi, [rip+19]: the sigaction
			0x31, 0xd2, // xor edx, edx
			0x41, 0xba, 8, 0, 0, 0, // mov r10d, 8: size of a signal set
			0x0f, 0x05, // syscall
			0xb8, 34, 0, 0, 0, // mov eax, SYS_pause
			0x0f, 0x05, // syscall
			0xeb, 0xf7, // jmp back to the mov
		}}, true
	case "arm64":
		return machine{183, words(
			0xd28010c8, // mov x8, SYS_rt_sigaction
			0xd2800220, // mov x0, SIGCHLD
			0x10000181, // adr x1, 12 instructions ahead: the sigaction
			0xd2800002, // mov x2, 0
			0xd2800103, // mov x3, 8: size of a signal set
			0xd4000001, // svc 0
			0xd2800928, // mov x8, SYS_ppoll
			0xd2800000, // mov x0, 0: of no files
			0xd2800001, // mov x1, 0
			0xd2800002, // mov x2, 0: without a time limit
			0xd2800003, // mov x3, 0
			0xd2800004, // mov x4, 0
			0xd4000001, // svc 0
			0x17fffff9, // b back to the mov of ppoll
		)}, true
	}
	return machine{}, false
}

func words(all ...uint32) []byte {
	var out []byte
	for _, w := range all {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

// Sizes of the two headers of a 64-bit ELF file, and where it is loaded.
const (
	elfHeader     = 64
	programHeader = 56
	loadAddress   = 0x400000
)

// executable is a static ELF file: its headers and one segment, which is the whole file.
func executable(architecture string) ([]byte, error) {
	m, ok := machineOf(architecture)
	if !ok {
		return nil, fmt.Errorf("there is no pause program for the architecture %s", architecture)
	}
	const start = elfHeader + programHeader
	size := uint64(start + len(m.code) + len(ignore))
	le := binary.LittleEndian
	out := []byte{0x7f, 'E', 'L', 'F', 2 /* 64 bit */, 1 /* little endian */, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	out = le.AppendUint16(out, 2) // executable
	out = le.AppendUint16(out, m.number)
	out = le.AppendUint32(out, 1)
	out = le.AppendUint64(out, loadAddress+start) // entry
	out = le.AppendUint64(out, elfHeader)         // of the program headers
	out = le.AppendUint64(out, 0)                 // no section headers
	out = le.AppendUint32(out, 0)
	for _, n := range []uint16{elfHeader, programHeader, 1, 0, 0, 0} {
		out = le.AppendUint16(out, n)
	}
	out = le.AppendUint32(out, 1) // to be loaded
	out = le.AppendUint32(out, 5) // readable and executable
	for _, n := range []uint64{0, loadAddress, loadAddress, size, size, 0x1000} {
		out = le.AppendUint64(out, n)
	}
	out = append(out, m.code...)
	return append(out, ignore[:]...), nil
}
