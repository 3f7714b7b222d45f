/** Enrolls a student with the generated types: ADDRESS TOKEN STUDENT_NUMBER TERM COURSE_CODE FULL_COURSE_CODE. Prints JSON. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];

const [address, token, studentNumber, term, courseCode, fullCourseCode] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${token}` } });
const student_id = `number:${studentNumber}`;

async function enroll(course_code: string): Promise<string> {
  const { data, error } = await client.POST("/api/v1/students/{student_id}/courses", {
    params: { path: { student_id } },
    body: { course_code, term },
  });
  if (data !== undefined) {
    const status: "enrolled" | "waitlisted" | "completed" | "dropped" | "withdrawn" = data.status;
    return status;
  }
  const problem: Problem = error;
  return problem.code;
}

const outcomes = [await enroll(courseCode), await enroll(fullCourseCode)];
const { data } = await client.GET("/api/v1/students/{student_id}/courses", { params: { path: { student_id } } });
console.log(JSON.stringify({ outcomes, codes: data?.results.map((row) => row.course?.code) ?? [] }));
