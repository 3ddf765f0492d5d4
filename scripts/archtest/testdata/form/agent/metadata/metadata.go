// The metadata of a task.
package metadata
